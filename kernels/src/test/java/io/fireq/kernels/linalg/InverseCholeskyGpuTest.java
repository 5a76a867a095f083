package io.fireq.kernels.linalg;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.fireq.kernels.cuda.DeviceBuffer;
import io.fireq.kernels.testing.Comparer;
import io.fireq.kernels.testing.Gpu;
import io.fireq.kernels.testing.GpuTest;
import io.fireq.kernels.testing.Seeded;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@GpuTest
class InverseCholeskyGpuTest {

    @ParameterizedTest
    @ValueSource(ints = {1, 5, 128, 172, 391, 512})
    void factors_the_inverse(int k) {
        Seeded random = Seeded.fresh("inverse cholesky");
        float[] a = positive(random, k);
        double[] expected = MatrixOracle.inverseCholesky(F32GemmGpuTest.doubles(a), k);
        try (Gpu gpu = Gpu.open()) {
            DeviceMatrix matrix = F32GemmGpuTest.matrix(gpu, "a", a, k, k);
            DeviceBuffer result = gpu.empty("result", 4L * k * k);
            inverseCholesky(gpu).run(gpu.stream(), matrix, DeviceMatrix.of(result, k, k));
            gpu.finish();
            double[] actual = F32GemmGpuTest.doubles(gpu.floats(result));
            Comparer.rms("k=%d, %s".formatted(k, random), actual, expected, 2e-5);
            double[] bound = new double[k * k];
            double largest = 0;
            for (double x : expected) {
                largest = Math.max(largest, Math.abs(x));
            }
            for (int i = 0; i < bound.length; i++) {
                bound[i] = i % k < i / k ? 0 : 2e-4 * largest;
            }
            Comparer.close("k=%d, %s".formatted(k, random), new int[] {k, k}, actual, expected, bound);
        }
    }

    @Test
    void refuses_what_is_not_positive_definite() {
        try (Gpu gpu = Gpu.open()) {
            for (float bad : new float[] {-1, 0, Float.NaN}) {
                float[] a = new float[200 * 200];
                for (int i = 0; i < 200; i++) {
                    a[i * 200 + i] = i == 60 ? bad : 1;
                }
                DeviceMatrix matrix = F32GemmGpuTest.matrix(gpu, "a", a, 200, 200);
                DeviceMatrix result = DeviceMatrix.of(gpu.empty("result", 4L * a.length), 200, 200);
                InverseCholesky cholesky = inverseCholesky(gpu);
                assertThatThrownBy(() -> cholesky.run(gpu.stream(), matrix, result))
                        .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("row 60 of 200");
            }
        }
    }

    private static InverseCholesky inverseCholesky(Gpu gpu) {
        return new InverseCholesky(gpu.context(), new F32Gemm(gpu.context()), new MatrixOps(gpu.context()));
    }

    /** A damped second moment of half as many tokens as channels, some of them large. */
    private static float[] positive(Seeded random, int k) {
        int nTokens = k / 2 + 1;
        float[] x = random.floats(nTokens * k, 0, 1);
        for (int i = 0; i < x.length; i++) {
            x[i] *= i % k % 37 == 3 ? 20 : 1;
        }
        double[] gram = MatrixOracle.product(x, true, x, false, k, k, nTokens, false);
        float[] a = new float[k * k];
        for (int i = 0; i < k; i++) {
            for (int j = 0; j < k; j++) {
                a[i * k + j] = (float) (gram[i * k + j] * (i == j ? 1.1 : 1));
            }
        }
        return a;
    }
}
