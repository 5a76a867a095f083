package io.fireq.kernels.attention;

import io.fireq.kernels.cuda.DeviceBuffer;
import io.fireq.kernels.testing.Comparer;
import io.fireq.kernels.testing.Formats;
import io.fireq.kernels.testing.Gpu;
import io.fireq.kernels.testing.GpuTest;
import io.fireq.kernels.testing.Seeded;
import java.util.Arrays;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@GpuTest
class PlainPagedAttentionGpuTest {
    /** A weight near a tie may round to its neighbour: an eighth of that term, and few terms of many. */
    private static final double ROUNDING_OF_WEIGHTS = 0.02;
    private static final double BF16_HALF_STEP = 0x1p-8;

    @ParameterizedTest
    @CsvSource({
        // heads, kv heads, head dim, group, block size, kv lengths, tokens of each sequence
        "6,  3, 64,  64,  16, 1,             1",
        "8,  4, 8,   8,   4,  5 13 1,        5 2 1",
        "4,  2, 6,   3,   5,  11 7,          3 7",
        "32, 8, 128, 64,  16, 300 17 129 40, 1 17 33 0",
        "5,  5, 256, 128, 32, 130,           4",
        "8,  2, 80,  80,  16, 1023,          2",
    })
    void agrees_with_the_oracle(int nHeads, int nKvHeads, int headDim, int groupSize, int kvBlockSize, String kvLens,
            String nTokensOfSeq) {
        Seeded random = Seeded.fresh("plain_paged_attention");
        int[] kvLen = ints(kvLens);
        int[] newTokens = ints(nTokensOfSeq);
        int nSeqs = kvLen.length;
        int nTokens = Arrays.stream(newTokens).sum();
        int maxKvBlocks = (Arrays.stream(kvLen).max().orElseThrow() + kvBlockSize - 1) / kvBlockSize + 1;
        PagedKvLayout layout = new PagedKvLayout(nSeqs * maxKvBlocks, nKvHeads, headDim, groupSize, kvBlockSize);
        int[] blockTables = random.permutation(nSeqs * maxKvBlocks);
        int[] cuSeqlens = new int[nSeqs + 1];
        int[] positions = new int[nTokens];
        int[] seqOf = new int[nTokens];
        for (int s = 0; s < nSeqs; s++) {
            cuSeqlens[s + 1] = cuSeqlens[s] + newTokens[s];
            for (int t = cuSeqlens[s]; t < cuSeqlens[s + 1]; t++) {
                positions[t] = kvLen[s] - cuSeqlens[s + 1] + t;
                seqOf[t] = s;
            }
        }
        byte[] query = random.e4m3(nTokens * nHeads * headDim, 120);
        float[] queryScale = random.floats(nTokens * nHeads, 0.01, 0.002);
        Cache k = Cache.random(random, layout);
        Cache v = Cache.random(random, layout);

        double[] expected = new double[nTokens * nHeads * headDim];
        double[] bound = new double[expected.length];
        for (int t = 0; t < nTokens; t++) {
            for (int h = 0; h < nHeads; h++) {
                int at = (t * nHeads + h) * headDim;
                float[] q = new float[headDim];
                for (int c = 0; c < headDim; c++) {
                    q[c] = Formats.fromE4m3(query[at + c]);
                }
                int[] slots = new int[positions[t] + 1];
                for (int s = 0; s < slots.length; s++) {
                    slots[s] = blockTables[seqOf[t] * maxKvBlocks + s / kvBlockSize] * kvBlockSize + s % kvBlockSize;
                }
                int kvHead = h / (nHeads / nKvHeads);
                AttentionOracle.Rows rows = new AttentionOracle.Rows(k.codes(slots, kvHead), k.scale(slots, kvHead),
                        k.zero(slots, kvHead), v.codes(slots, kvHead), v.scale(slots, kvHead), v.zero(slots, kvHead));
                AttentionOracle.Result result =
                        AttentionOracle.attend(q, queryScale[t * nHeads + h], rows, groupSize);
                System.arraycopy(result.out(), 0, expected, at, headDim);
                for (int c = 0; c < headDim; c++) {
                    bound[at + c] = Math.abs(result.out()[c]) * BF16_HALF_STEP
                            + result.magnitude()[c] * ROUNDING_OF_WEIGHTS;
                }
            }
        }
        try (Gpu gpu = Gpu.open()) {
            PagedKv cache = new PagedKv(layout, gpu.upload("kCodes", k.codes), gpu.upload("kParams", k.params),
                    gpu.upload("vCodes", v.codes), gpu.upload("vParams", v.params));
            DeviceBuffer out = gpu.empty("out", 2L * expected.length);
            new PlainPagedAttention(gpu.context()).launch(gpu.stream(), gpu.upload("query", query),
                    gpu.upload("queryScale", queryScale), cache, gpu.upload("positions", positions),
                    gpu.upload("cuSeqlens", cuSeqlens), gpu.upload("blockTables", blockTables), nTokens, nSeqs,
                    maxKvBlocks, nHeads, out);
            gpu.finish();
            short[] codes = gpu.shorts(out);
            double[] actual = new double[codes.length];
            for (int i = 0; i < codes.length; i++) {
                actual[i] = Formats.fromBf16(codes[i]);
            }
            Comparer.close("attention, " + random, new int[] {nTokens, nHeads, headDim}, actual, expected, bound);
            Comparer.rms("attention, " + random, actual, expected, 0x1p-8);
        }
    }

    private static int[] ints(String text) {
        return Arrays.stream(text.trim().split(" ")).mapToInt(Integer::parseInt).toArray();
    }

    /** K or V of the whole pool with random content. */
    private record Cache(PagedKvLayout layout, byte[] codes, short[] params) {
        static Cache random(Seeded random, PagedKvLayout layout) {
            short[] params = new short[Math.toIntExact(layout.paramBytes() / 2)];
            for (int i = 0; i < params.length; i += 2) {
                params[i] = Formats.f16(random.uniform(0.05f, 0.3f));
                params[i + 1] = Formats.f16(Math.round(random.uniform(-0.5f, 15.5f)));
            }
            return new Cache(layout, random.bytes(Math.toIntExact(layout.codeBytes())), params);
        }

        int[][] codes(int[] slots, int kvHead) {
            int[][] values = new int[slots.length][layout.headDim()];
            for (int s = 0; s < slots.length; s++) {
                for (int c = 0; c < layout.headDim(); c++) {
                    int at = Math.toIntExact(layout.row(slots[s], kvHead) * layout.rowBytes() + c / 2);
                    values[s][c] = codes[at] >> c % 2 * 4 & 15;
                }
            }
            return values;
        }

        double[][] scale(int[] slots, int kvHead) {
            return params(slots, kvHead, 0);
        }

        double[][] zero(int[] slots, int kvHead) {
            return params(slots, kvHead, 1);
        }

        private double[][] params(int[] slots, int kvHead, int which) {
            double[][] values = new double[slots.length][layout.groups()];
            for (int s = 0; s < slots.length; s++) {
                for (int g = 0; g < layout.groups(); g++) {
                    long at = (layout.row(slots[s], kvHead) * layout.groups() + g) * 2 + which;
                    values[s][g] = Formats.fromF16(params[Math.toIntExact(at)]);
                }
            }
            return values;
        }
    }
}
