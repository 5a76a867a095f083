package io.fireq.kernels.elementwise;

import static org.assertj.core.api.Assertions.assertThat;

import io.fireq.kernels.cuda.DeviceBuffer;
import io.fireq.kernels.testing.Gpu;
import io.fireq.kernels.testing.GpuTest;
import io.fireq.kernels.testing.Seeded;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@GpuTest
class EmbeddingGatherGpuTest {

    @ParameterizedTest
    @CsvSource({"1, 2, 1", "7, 31, 113", "5, 512, 4096", "3, 40, 1032"})
    void copies_rows_of_a_bf16_table(int nTokens, int vocabSize, int width) {
        Seeded random = Seeded.fresh("embedding_gather bf16");
        int[] ids = ids(random, nTokens, vocabSize);
        short[] table = random.bf16(vocabSize * width, 1);
        try (Gpu gpu = Gpu.open()) {
            DeviceBuffer out = gpu.empty("out", 2L * nTokens * width);
            new EmbeddingGather(gpu.context()).launchBf16(gpu.stream(), gpu.upload("ids", ids),
                    gpu.upload("table", table), nTokens, vocabSize, width, out);
            gpu.finish();
            assertThat(gpu.shorts(out)).as(random.toString())
                    .isEqualTo(EmbeddingGatherOracle.bf16(ids, table, width));
        }
    }

    @ParameterizedTest
    @CsvSource({"1, 2, 1", "7, 31, 113", "5, 512, 4096"})
    void scales_rows_of_an_e4m3_table(int nTokens, int vocabSize, int width) {
        Seeded random = Seeded.fresh("embedding_gather e4m3");
        int[] ids = ids(random, nTokens, vocabSize);
        byte[] table = random.e4m3(vocabSize * width, 100);
        float[] rowScale = random.floats(vocabSize, 0.01, 0.002);
        try (Gpu gpu = Gpu.open()) {
            DeviceBuffer out = gpu.empty("out", 2L * nTokens * width);
            new EmbeddingGather(gpu.context()).launchE4m3(gpu.stream(), gpu.upload("ids", ids),
                    gpu.upload("table", table), gpu.upload("rowScale", rowScale), nTokens, vocabSize, width, out);
            gpu.finish();
            assertThat(gpu.shorts(out)).as(random.toString())
                    .isEqualTo(EmbeddingGatherOracle.e4m3(ids, table, rowScale, width));
        }
    }

    @ParameterizedTest
    @CsvSource({"1, 2, 1, 1", "7, 31, 129, 43", "5, 512, 4096, 128"})
    void decodes_rows_of_an_int4_table(int nTokens, int vocabSize, int width, int groupSize) {
        Seeded random = Seeded.fresh("embedding_gather_int4");
        int[] ids = ids(random, nTokens, vocabSize);
        byte[] codes = random.bytes(vocabSize * ((width + 1) / 2));
        byte[] groupScales = random.e4m3(vocabSize * (width / groupSize), 4);
        float[] rowScale = random.floats(vocabSize, 0.01, 0.002);
        float[] values = random.floats(16, 0, 4);
        try (Gpu gpu = Gpu.open()) {
            DeviceBuffer out = gpu.empty("out", 2L * nTokens * width);
            new EmbeddingGather(gpu.context()).launchInt4(gpu.stream(), gpu.upload("ids", ids),
                    gpu.upload("codes", codes), gpu.upload("groupScales", groupScales),
                    gpu.upload("rowScale", rowScale), gpu.upload("values", values), nTokens, vocabSize, width,
                    groupSize, out);
            gpu.finish();
            short[] expected = EmbeddingGatherOracle.int4(ids, codes, groupScales, rowScale, values, width, groupSize);
            assertThat(withoutNegativeZero(gpu.shorts(out))).as(random.toString())
                    .isEqualTo(withoutNegativeZero(expected));
        }
    }

    /** A value that rounds to zero keeps its sign on the device and has none in the oracle where the code is 0. */
    private static short[] withoutNegativeZero(short[] values) {
        short[] out = values.clone();
        for (int i = 0; i < out.length; i++) {
            out[i] = out[i] == Short.MIN_VALUE ? 0 : out[i];
        }
        return out;
    }

    private static int[] ids(Seeded random, int nTokens, int vocabSize) {
        int[] ids = new int[nTokens];
        for (int t = 0; t < nTokens; t++) {
            ids[t] = t == 0 ? vocabSize - 1 : random.below(vocabSize);
        }
        return ids;
    }
}
