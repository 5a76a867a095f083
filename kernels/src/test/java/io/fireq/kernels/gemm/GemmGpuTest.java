package io.fireq.kernels.gemm;

import static org.assertj.core.api.Assertions.assertThat;

import io.fireq.kernels.cuda.CudaStream;
import io.fireq.kernels.cuda.DeviceBuffer;
import io.fireq.kernels.testing.Comparer;
import io.fireq.kernels.testing.Gpu;
import io.fireq.kernels.testing.GpuTest;
import io.fireq.kernels.testing.Seeded;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

@GpuTest
class GemmGpuTest {
    private static final int[] TOKENS = {1, 2, 7, 16, 17, 33, 64, 65, 128, 255, 256, 300};

    @ParameterizedTest
    @CsvSource({
        "70,   144,  144,  false, false",
        "330,  272,  272,  true,  true",
        "256,  128,  128,  false, true",
        "200,  512,  256,  true,  false",
        "1026, 384,  128,  false, true",
    })
    void the_device_packs_as_the_layout_says(int n, int k, int groupSize, boolean gated, boolean signMagnitude) {
        Seeded random = Seeded.fresh("repack");
        Int4Fp8WeightLayout layout = new Int4Fp8WeightLayout(n, k, groupSize, gated, signMagnitude);
        byte[] codes = random.bytes(n * (k / 2));
        byte[] scales = random.bytes(n * layout.groups());
        float[] rowScales = random.floats(n, 1, 0.1);
        try (Gpu gpu = Gpu.open()) {
            LinearWeight weight = LinearWeight.int4("w", n, k, groupSize, gpu.upload("codes", codes),
                    gpu.upload("scales", scales), gpu.upload("rowScales", rowScales),
                    gpu.upload("values", new float[16]));
            DeviceBuffer packed = gpu.empty("packed", layout.byteSize());
            DeviceBuffer packedScales = gpu.empty("packedScales", 4L * layout.packedRows());
            new RepackInt4(gpu.context()).launch(gpu.stream(), weight, layout, packed, packedScales);
            gpu.finish();
            Comparer.identical("packed, " + random, new int[] {(int) layout.byteSize()}, gpu.bytes(packed),
                    layout.pack(codes, scales));
            float[] actual = gpu.floats(packedScales);
            for (int p = 0; p < layout.packedRows(); p++) {
                int row = layout.sourceRow(p);
                assertThat(actual[p]).as("row scale %d, %s", p, random).isEqualTo(row < 0 ? 0f : rowScales[row]);
            }
        }
    }

    @ParameterizedTest
    @CsvSource({
        "4, 70,  144, 144, false",
        "4, 264, 384, 128, false",
        "4, 520, 512, 256, true",
        "4, 36,  272, 272, true",
        "8, 70,  144, 144, false",
        "8, 264, 384, 384, false",
    })
    void every_kernel_agrees_with_the_oracle(int bits, int n, int k, int groupSize, boolean gated) {
        for (int m : TOKENS) {
            Seeded random = Seeded.fresh("gemm m=" + m);
            try (Gpu gpu = Gpu.open(); GemmCase gemm = GemmCase.create(gpu, random, bits, m, n, k, groupSize, gated)) {
                gemm.expectOracle();
                gemm.checkEveryKernel();
                gpu.finish();
            }
        }
    }

    @ParameterizedTest
    @CsvSource({
        "1024,  512,   false",
        "512,   512,   false",
        "3072,  512,   true",
        "512,   1536,  false",
        "6144,  4096,  false",
        "4096,  4096,  false",
        "28672, 4096,  true",
        "4096,  14336, false",
    })
    void the_chosen_kernels_agree_with_plain_gemm_on_model_shapes(int n, int k, boolean gated) {
        for (int m : new int[] {1, 7, 16, 17, 64, 128, 256, 300, 1024}) {
            Seeded random = Seeded.fresh("gemm m=" + m);
            try (Gpu gpu = Gpu.open(); GemmCase gemm = GemmCase.create(gpu, random, 4, m, n, k, 128, gated)) {
                gemm.expectPlain();
                gemm.checkSampleAgainstOracle();
                gemm.checkChosenKernel();
                gpu.finish();
            }
        }
    }

    @Test
    void an_e4m3_head_agrees_with_plain_gemm() {
        for (int m : new int[] {1, 16, 61, 200}) {
            Seeded random = Seeded.fresh("head m=" + m);
            try (Gpu gpu = Gpu.open(); GemmCase gemm = GemmCase.create(gpu, random, 8, m, 32_003, 1024, 1024, false)) {
                gemm.expectPlain();
                gemm.checkSampleAgainstOracle();
                gemm.checkEveryKernel();
                gpu.finish();
            }
        }
    }

    /** Evidence against races: 100 runs of each kernel, while copies on another stream change its timing. */
    @ParameterizedTest
    @ValueSource(ints = {3, 31, 64, 257, 1000})
    void results_repeat_bit_by_bit_under_load(int m) {
        Seeded random = Seeded.fresh("repeat m=" + m);
        for (boolean gated : new boolean[] {false, true}) {
            try (Gpu gpu = Gpu.open();
                    CudaStream noise = gpu.context().newStream();
                    GemmCase gemm = GemmCase.create(gpu, random, 4, m, 2816, 1408, 128, gated)) {
                DeviceBuffer a = gpu.empty("noise a", 32 << 20);
                DeviceBuffer b = gpu.empty("noise b", 32 << 20);
                gemm.checkBitsRepeat(100, run -> {
                    for (int i = 0; i < random.below(3); i++) {
                        b.copyAsync(noise, 0, a, 0, 1 + random.below(32 << 20));
                    }
                });
                noise.synchronize();
                gpu.finish();
            }
        }
    }

    @Test
    void a_weight_that_the_fast_kernel_cannot_read_is_served_by_the_plain_one() {
        Seeded random = Seeded.fresh("fallback");
        for (int[] shape : new int[][] {{66, 256, 64}, {40, 100, 50}, {34, 129, 43}}) {
            try (Gpu gpu = Gpu.open();
                    GemmCase gemm = GemmCase.create(gpu, random, 4, 5, shape[0], shape[1], shape[2], false)) {
                assertThat(gemm.weight().plainReason()).isPresent();
                gemm.expectOracle();
                gemm.checkThroughFacade();
                gpu.finish();
            }
        }
    }
}
