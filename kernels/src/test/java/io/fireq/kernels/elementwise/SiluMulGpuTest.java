package io.fireq.kernels.elementwise;

import io.fireq.kernels.cuda.DeviceBuffer;
import io.fireq.kernels.testing.Comparer;
import io.fireq.kernels.testing.Formats;
import io.fireq.kernels.testing.Gpu;
import io.fireq.kernels.testing.GpuTest;
import io.fireq.kernels.testing.Seeded;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@GpuTest
class SiluMulGpuTest {
    private static final double BF16_HALF_STEP = 0x1p-8;

    @ParameterizedTest
    @CsvSource({"1, 1", "7, 113", "3, 1536", "2, 14336"})
    void multiplies_silu_of_gate_with_up(int nTokens, int ffnSize) {
        Seeded random = Seeded.fresh("silu_mul");
        float[] gateUp = random.floats(2 * nTokens * ffnSize, 0, 6);
        gateUp[0] = -100; // exp(100) overflows float32: silu is -0
        double[] expected = SiluMulOracle.product(gateUp, ffnSize);
        try (Gpu gpu = Gpu.open()) {
            DeviceBuffer out = gpu.empty("out", 2L * nTokens * ffnSize);
            new SiluMul(gpu.context()).launch(gpu.stream(), gpu.upload("gateUp", gateUp), nTokens, ffnSize, out);
            gpu.finish();
            short[] codes = gpu.shorts(out);
            double[] actual = new double[codes.length];
            double[] bound = new double[codes.length];
            for (int i = 0; i < codes.length; i++) {
                actual[i] = Formats.fromBf16(codes[i]);
                bound[i] = Math.abs(expected[i]) * BF16_HALF_STEP * 1.001 + 1e-37;
            }
            Comparer.close("silu_mul, " + random, new int[] {nTokens, ffnSize}, actual, expected, bound);
        }
    }
}
