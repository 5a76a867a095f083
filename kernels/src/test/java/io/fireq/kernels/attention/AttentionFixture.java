package io.fireq.kernels.attention;

import io.fireq.kernels.cuda.DeviceBuffer;
import io.fireq.kernels.testing.Formats;
import io.fireq.kernels.testing.Gpu;
import io.fireq.kernels.testing.Seeded;
import java.util.Arrays;

/** A ragged batch with random queries and a random cache whose KV blocks are dealt out in random order. */
final class AttentionFixture {
    /** Positions of the longest tile that a kernel goes through. */
    private static final int LARGEST_TILE = 128;

    final Seeded random;
    final PagedKvLayout layout;
    final int nHeads;
    final int[] kvLens;
    final int[] cuSeqlens;
    final int[] positions;
    final int[] blockTables;
    final int maxKvBlocks;
    final byte[] query;
    final float[] queryScale;
    final byte[] kCodes;
    final short[] kParams;
    final byte[] vCodes;
    final short[] vParams;
    private Expected expected;

    /**
     * @param kvLens    {@code [nSeqs]} positions, separated by blanks
     * @param newTokens {@code [nSeqs]} new tokens, likewise
     */
    AttentionFixture(String test, int nHeads, int nKvHeads, int headDim, int kvBlockSize, String kvLens,
            String newTokens) {
        this(test, nHeads, nKvHeads, headDim, kvBlockSize, ints(kvLens), ints(newTokens));
    }

    AttentionFixture(String test, int nHeads, int nKvHeads, int headDim, int kvBlockSize, int[] kvLens,
            int[] newTokens) {
        this.random = Seeded.fresh(test);
        this.nHeads = nHeads;
        this.kvLens = kvLens;
        int nSeqs = kvLens.length;
        maxKvBlocks = (Arrays.stream(kvLens).max().orElseThrow() + kvBlockSize - 1) / kvBlockSize + 1;
        layout = new PagedKvLayout(nSeqs * maxKvBlocks, nKvHeads, headDim, headDim, kvBlockSize);
        blockTables = random.permutation(nSeqs * maxKvBlocks);
        cuSeqlens = new int[nSeqs + 1];
        for (int s = 0; s < nSeqs; s++) {
            cuSeqlens[s + 1] = cuSeqlens[s] + newTokens[s];
        }
        positions = new int[cuSeqlens[nSeqs]];
        for (int s = 0; s < nSeqs; s++) {
            for (int t = cuSeqlens[s]; t < cuSeqlens[s + 1]; t++) {
                positions[t] = kvLens[s] - cuSeqlens[s + 1] + t;
            }
        }
        query = random.e4m3(nTokens() * nHeads * headDim, 120);
        queryScale = random.floats(nTokens() * nHeads, 0.01, 0.002);
        kCodes = random.bytes(Math.toIntExact(layout.codeBytes()));
        vCodes = random.bytes(Math.toIntExact(layout.codeBytes()));
        kParams = params();
        vParams = params();
    }

    /** Scales and zeros; those of slots behind the last position are not numbers, as memory that nobody wrote may be. */
    private short[] params() {
        short[] params = new short[Math.toIntExact(layout.paramBytes() / 2)];
        Arrays.fill(params, (short) 0x7e00);
        for (int s = 0; s < kvLens.length; s++) {
            for (int position = 0; position < kvLens[s]; position++) {
                for (int head = 0; head < layout.nKvHeads(); head++) {
                    int at = Math.toIntExact(layout.row(slot(s, position), head) * 2);
                    params[at] = Formats.f16(random.uniform(0.05f, 0.3f));
                    params[at + 1] = Formats.f16(Math.round(random.uniform(-0.5f, 15.5f)));
                }
            }
        }
        return params;
    }

    int nTokens() {
        return positions.length;
    }

    int nSeqs() {
        return kvLens.length;
    }

    int maxKvLen() {
        return Arrays.stream(kvLens).max().orElseThrow();
    }

    int maxNewTokens() {
        int most = 1;
        for (int s = 0; s < nSeqs(); s++) {
            most = Math.max(most, cuSeqlens[s + 1] - cuSeqlens[s]);
        }
        return most;
    }

    int values() {
        return nTokens() * nHeads * layout.headDim();
    }

    int[] dims() {
        return new int[] {nTokens(), nHeads, layout.headDim()};
    }

    int slot(int sequence, int position) {
        int block = blockTables[sequence * maxKvBlocks + position / layout.kvBlockSize()];
        return block * layout.kvBlockSize() + position % layout.kvBlockSize();
    }

    /** K or V of one sequence's first positions, for the oracle. */
    AttentionOracle.Rows rows(int sequence, int nPositions, int kvHead) {
        int[][] k = new int[nPositions][];
        int[][] v = new int[nPositions][];
        double[][][] params = new double[4][nPositions][1];
        for (int position = 0; position < nPositions; position++) {
            long row = layout.row(slot(sequence, position), kvHead);
            k[position] = codes(kCodes, row);
            v[position] = codes(vCodes, row);
            int at = Math.toIntExact(row * 2);
            params[0][position][0] = Formats.fromF16(kParams[at]);
            params[1][position][0] = Formats.fromF16(kParams[at + 1]);
            params[2][position][0] = Formats.fromF16(vParams[at]);
            params[3][position][0] = Formats.fromF16(vParams[at + 1]);
        }
        return new AttentionOracle.Rows(k, params[0], params[1], v, params[2], params[3]);
    }

    private int[] codes(byte[] cache, long row) {
        int[] codes = new int[layout.headDim()];
        for (int c = 0; c < codes.length; c++) {
            codes[c] = cache[Math.toIntExact(row * layout.rowBytes() + c / 2)] >> c % 2 * 4 & 15;
        }
        return codes;
    }

    /**
     * The output without rounded weights, the bound of an element's distance from it, and the mean square of that distance
     * if rounding errors are evenly spread.
     */
    record Expected(double[] exact, double[] bound, double[] variance) {}

    Expected expected() {
        if (expected == null) {
            expected = computeExpected();
        }
        return expected;
    }

    private Expected computeExpected() {
        // A kernel's running scale decides how a weight rounds, so only the size of that rounding is known. A quarter more
        // is for scores, whose sums the tensor core rounds.
        double roundingOfWeights = 1.25;
        double bf16HalfStep = 0x1p-8;
        // The tensor core cuts each addend of a sum of 32 off at this share of the largest.
        double cutOff = 0x1p-13;
        int headDim = layout.headDim();
        Expected expected = new Expected(new double[values()], new double[values()],
                new double[values()]);
        for (int s = 0; s < nSeqs(); s++) {
            for (int kvHead = 0; kvHead < layout.nKvHeads(); kvHead++) {
                AttentionOracle.Rows all = rows(s, kvLens[s], kvHead);
                for (int t = cuSeqlens[s]; t < cuSeqlens[s + 1]; t++) {
                    AttentionOracle.Rows seen = first(all, positions[t] + 1);
                    AttentionOracle.Rows inReach = first(all,
                            Math.min(kvLens[s], (positions[t] / LARGEST_TILE + 1) * LARGEST_TILE));
                    int group = nHeads / layout.nKvHeads();
                    for (int h = kvHead * group; h < (kvHead + 1) * group; h++) {
                        int at = (t * nHeads + h) * headDim;
                        float[] q = new float[headDim];
                        for (int c = 0; c < headDim; c++) {
                            q[c] = Formats.fromE4m3(query[at + c]);
                        }
                        double scale = queryScale[t * nHeads + h];
                        AttentionOracle.Result result = AttentionOracle.attendExactly(q, scale, seen, inReach,
                                headDim);
                        for (int c = 0; c < headDim; c++) {
                            expected.exact()[at + c] = result.out()[c];
                            expected.bound()[at + c] = Math.abs(result.out()[c]) * bf16HalfStep
                                    + result.rounding()[c] * roundingOfWeights
                                    + result.magnitude()[c] * cutOff * (positions[t] / 32 + 1);
                            expected.variance()[at + c] = result.variance()[c];
                        }
                    }
                }
            }
        }
        return expected;
    }

    private static AttentionOracle.Rows first(AttentionOracle.Rows all, int count) {
        return new AttentionOracle.Rows(Arrays.copyOf(all.kCodes(), count), Arrays.copyOf(all.kScale(), count),
                Arrays.copyOf(all.kZero(), count), Arrays.copyOf(all.vCodes(), count),
                Arrays.copyOf(all.vScale(), count), Arrays.copyOf(all.vZero(), count));
    }

    /** The batch on the device. */
    record OnDevice(DeviceBuffer query, DeviceBuffer queryScale, PagedKv cache, DeviceBuffer positions,
            DeviceBuffer cuSeqlens, DeviceBuffer blockTables) {}

    OnDevice upload(Gpu gpu) {
        return new OnDevice(gpu.upload("query", query), gpu.upload("queryScale", queryScale),
                new PagedKv(layout, gpu.upload("kCodes", kCodes), gpu.upload("kParams", kParams),
                        gpu.upload("vCodes", vCodes), gpu.upload("vParams", vParams)),
                gpu.upload("positions", positions), gpu.upload("cuSeqlens", cuSeqlens),
                gpu.upload("blockTables", blockTables));
    }

    /** What {@link PlainPagedAttention} makes of the batch. */
    double[] plain(Gpu gpu, OnDevice batch) {
        DeviceBuffer out = gpu.empty("plain out", 2L * values());
        new PlainPagedAttention(gpu.context()).launch(gpu.stream(), batch.query(), batch.queryScale(), batch.cache(),
                batch.positions(), batch.cuSeqlens(), batch.blockTables(), nTokens(), nSeqs(), maxKvBlocks, nHeads, out);
        return doubles(gpu, out);
    }

    static double[] doubles(Gpu gpu, DeviceBuffer out) {
        short[] codes = gpu.shorts(out);
        double[] values = new double[codes.length];
        for (int i = 0; i < codes.length; i++) {
            values[i] = Formats.fromBf16(codes[i]);
        }
        return values;
    }

    private static int[] ints(String text) {
        return Arrays.stream(text.trim().split(" ")).mapToInt(Integer::parseInt).toArray();
    }

    @Override
    public String toString() {
        return random + ", " + layout;
    }
}
