package io.fireq.kernels.elementwise;

import static org.assertj.core.api.Assertions.assertThat;

import io.fireq.kernels.attention.PagedKv;
import io.fireq.kernels.attention.PagedKvLayout;
import io.fireq.kernels.cuda.DeviceBuffer;
import io.fireq.kernels.testing.Comparer;
import io.fireq.kernels.testing.Formats;
import io.fireq.kernels.testing.Gpu;
import io.fireq.kernels.testing.GpuTest;
import io.fireq.kernels.testing.Seeded;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@GpuTest
class RopeAppendKvGpuTest {
    private static final byte PATTERN = (byte) 0xa7;
    private static final int MAX_POSITION = 50;

    @ParameterizedTest
    @CsvSource({
        "1,  8, 4, 64,  64,  16, false, false, 0",
        "7,  6, 3, 64,  64,  16, false, true,  0",
        "7,  5, 5, 64,  64,  16, true,  true,  16",
        "3,  8, 2, 64,  64,  5,  false, true,  64",
        "5, 32, 8, 128, 64,  16, false, true,  0",
        "5, 32, 8, 128, 128, 32, true,  true,  0",
        "5, 32, 8, 128, 128, 32, false, true,  128",
        "6,  3, 1, 128, 128, 16, false, false, 2",
        "5,  4, 2, 64,  64,  16, false, true,  1",
        "4,  4, 2, 12,  6,   5,  false, true,  1",
        "3,  8, 4, 8,   8,   4,  false, false, 0",
        "4,  4, 2, 6,   3,   5,  false, true,  0",
        "3,  8, 4, 8,   8,   4,  false, true,  8",
        "4,  4, 2, 12,  6,   5,  false, true,  4",
        "2,  3, 1, 256, 64,  16, true,  false, 0",
        "2,  3, 1, 256, 64,  16, true,  true,  256",
        "700,   28, 4, 128, 128, 256,  false, true,  0",
        "2000,  5,  1, 64,  64,  512,  true,  true,  64",
        "16000, 2,  1, 128, 128, 4096, false, true,  0",
    })
    void equals_the_oracle_bit_for_bit(int nTokens, int nHeads, int nKvHeads, int headDim, int groupSize,
            int kvBlockSize, boolean symmetric, boolean smoothed, int hadamardBlock) {
        Seeded random = Seeded.fresh("rope_append_kv");
        PagedKvLayout layout = new PagedKvLayout(4, nKvHeads, headDim, groupSize, kvBlockSize);
        short[] qkv = random.bf16(nTokens * (nHeads + 2 * nKvHeads) * headDim, 2);
        check(random, layout, qkv, nTokens, nHeads, symmetric, smoothed, hadamardBlock);
    }

    /** Zeros of both signs, and sizes for which a division by multiplications is not exact. */
    @ParameterizedTest
    @CsvSource({"64, 0", "128, 0", "128, 128"})
    void divides_queries_of_any_size(int headDim, int hadamardBlock) {
        Seeded random = Seeded.fresh("rope_append_kv sizes");
        int nTokens = 6;
        int nHeads = 8;
        int nAllHeads = nHeads + 2 * 2;
        short[] qkv = random.bf16(nTokens * nAllHeads * headDim, 2);
        float[] sizes = {0, -0f, 1, 0x1p-70f, 0x1p-120f, 0x1p40f, 0x1p100f};
        for (int i = 0; i < qkv.length; i++) {
            int head = i / headDim % nAllHeads;
            if (head < nHeads) {
                float size = sizes[(i + i / headDim) % (head + 1) % sizes.length];
                qkv[i] = Formats.bf16(Formats.fromBf16(qkv[i]) * size);
            }
        }
        check(random, new PagedKvLayout(4, 2, headDim, headDim, 16), qkv, nTokens, nHeads, false, true, hadamardBlock);
    }

    private static void check(Seeded random, PagedKvLayout layout, short[] qkv, int nTokens, int nHeads, boolean symmetric,
            boolean smoothed, int hadamardBlock) {
        int nKvHeads = layout.nKvHeads();
        int headDim = layout.headDim();
        int kvBlockSize = layout.kvBlockSize();
        float[] values = new float[qkv.length];
        for (int i = 0; i < qkv.length; i++) {
            values[i] = Formats.fromBf16(qkv[i]);
        }
        float[] cos = new float[MAX_POSITION * headDim / 2];
        float[] sin = new float[cos.length];
        for (int i = 0; i < cos.length; i++) {
            double angle = (i / (headDim / 2)) * Math.pow(10000, -2.0 * (i % (headDim / 2)) / headDim);
            cos[i] = (float) Math.cos(angle);
            sin[i] = (float) Math.sin(angle);
        }
        int[] positions = new int[nTokens];
        int[] slots = new int[nTokens];
        int[] order = random.permutation(4 * kvBlockSize);
        for (int t = 0; t < nTokens; t++) {
            positions[t] = random.below(MAX_POSITION);
            slots[t] = order[t];
        }
        float[] kSmooth = smoothed ? random.floats(nKvHeads * headDim, 1, 0.2) : null;
        RopeAppendKvOracle.Result expected = new RopeAppendKvOracle(nHeads, layout, symmetric, hadamardBlock)
                .run(values, positions, slots, cos, sin, kSmooth, PATTERN);
        try (Gpu gpu = Gpu.open()) {
            PagedKv cache = new PagedKv(layout, gpu.empty("kCodes", layout.codeBytes()),
                    gpu.empty("kParams", layout.paramBytes()), gpu.empty("vCodes", layout.codeBytes()),
                    gpu.empty("vParams", layout.paramBytes()));
            DeviceBuffer query = gpu.empty("query", (long) nTokens * nHeads * headDim);
            DeviceBuffer queryScale = gpu.empty("queryScale", 4L * nTokens * nHeads);
            new RopeAppendKv(gpu.context()).launch(gpu.stream(), symmetric, gpu.upload("qkv", qkv),
                    gpu.upload("positions", positions), gpu.upload("slots", slots), gpu.upload("cos", cos),
                    gpu.upload("sin", sin), smoothed ? gpu.upload("kSmooth", kSmooth) : null, hadamardBlock, nTokens,
                    nHeads, cache, query, queryScale);
            gpu.finish();
            assertThat(gpu.floats(queryScale)).as("query scales, " + random).containsExactly(expected.queryScale());
            Comparer.identical("query, " + random, new int[] {nTokens, nHeads, headDim}, gpu.bytes(query),
                    expected.query());
            int[] codeDims = {4, nKvHeads, kvBlockSize, layout.rowBytes()};
            int[] paramDims = {4, nKvHeads, kvBlockSize, layout.groups(), 4};
            Comparer.identical("kParams, " + random, paramDims, gpu.bytes(cache.kParams()), expected.kParams());
            Comparer.identical("kCodes, " + random, codeDims, gpu.bytes(cache.kCodes()), expected.kCodes());
            Comparer.identical("vParams, " + random, paramDims, gpu.bytes(cache.vParams()), expected.vParams());
            Comparer.identical("vCodes, " + random, codeDims, gpu.bytes(cache.vCodes()), expected.vCodes());
        }
    }
}
