package io.fireq.kernels.linalg;

import io.fireq.kernels.cuda.DeviceBuffer;
import io.fireq.kernels.testing.Comparer;
import io.fireq.kernels.testing.Gpu;
import io.fireq.kernels.testing.GpuTest;
import io.fireq.kernels.testing.Seeded;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@GpuTest
class F32GemmGpuTest {
    private static final double ROUNDING = 0x1p-23;

    @ParameterizedTest
    @CsvSource({"1, 1, 1", "7, 6, 3", "113, 130, 257", "128, 256, 64", "300, 204, 1020", "129, 132, 12"})
    void multiplies_like_the_oracle(int m, int n, int k) {
        Seeded random = Seeded.fresh("f32_gemm");
        for (boolean aTransposed : new boolean[] {false, true}) {
            for (boolean bTransposed : new boolean[] {false, true}) {
                if (!(aTransposed && bTransposed)) {
                    check(random, aTransposed, bTransposed, m, n, k);
                }
            }
        }
    }

    private static void check(Seeded random, boolean aTransposed, boolean bTransposed, int m, int n, int k) {
        float[] a = random.floats(m * k, 0.1, 1);
        float[] b = random.floats(k * n, 0, 1);
        float[] c = random.floats(m * n, 0, 1);
        double[] expected = MatrixOracle.product(a, aTransposed, b, bTransposed, m, n, k, false);
        double[] bound = MatrixOracle.product(a, aTransposed, b, bTransposed, m, n, k, true);
        for (int i = 0; i < expected.length; i++) {
            expected[i] = c[i] - 0.5 * expected[i];
            bound[i] = ROUNDING * (k + 2) * (bound[i] + Math.abs(c[i]));
        }
        try (Gpu gpu = Gpu.open()) {
            DeviceBuffer result = gpu.upload("c", c);
            DeviceMatrix left = aTransposed ? matrix(gpu, "a", a, k, m) : matrix(gpu, "a", a, m, k);
            DeviceMatrix right = bTransposed ? matrix(gpu, "b", b, n, k) : matrix(gpu, "b", b, k, n);
            new F32Gemm(gpu.context()).add(gpu.stream(), -0.5f, new F32Gemm.Operand(left, aTransposed),
                    new F32Gemm.Operand(right, bTransposed), DeviceMatrix.of(result, m, n));
            gpu.finish();
            Comparer.close("f32_gemm %s %s, %s".formatted(aTransposed, bTransposed, random), new int[] {m, n},
                    doubles(gpu.floats(result)), expected, bound);
        }
    }

    @Test
    void makes_blocks_of_larger_matrices_and_leaves_the_rest_alone() {
        Seeded random = Seeded.fresh("f32_gemm blocks");
        float[] whole = random.floats(20 * 50, 0, 1);
        try (Gpu gpu = Gpu.open()) {
            DeviceMatrix a = matrix(gpu, "a", whole, 20, 50);
            float[] before = random.floats(30 * 40, 0, 1);
            DeviceBuffer result = gpu.upload("c", before);
            DeviceMatrix c = DeviceMatrix.of(result, 30, 40);
            // rows 2..6 and columns 3..12 of a, times columns 4..8 of rows 7..16
            new F32Gemm(gpu.context()).multiply(gpu.stream(), 1, F32Gemm.plain(a.block(2, 3, 5, 10)),
                    F32Gemm.plain(a.block(7, 4, 10, 5)), c.block(6, 9, 5, 5));
            gpu.finish();
            double[] expected = doubles(before);
            for (int i = 0; i < 5; i++) {
                for (int j = 0; j < 5; j++) {
                    double sum = 0;
                    for (int t = 0; t < 10; t++) {
                        sum += (double) whole[(2 + i) * 50 + 3 + t] * whole[(7 + t) * 50 + 4 + j];
                    }
                    expected[(6 + i) * 40 + 9 + j] = sum;
                }
            }
            double[] bound = new double[expected.length];
            Arrays.fill(bound, 1e-5);
            Comparer.close("blocks, " + random, new int[] {30, 40}, doubles(gpu.floats(result)), expected, bound);
        }
    }

    @Test
    void makes_parts_of_a_gram_matrix() {
        Seeded random = Seeded.fresh("f32_gemm parts");
        int k = 300;
        int nTokens = 70;
        float[] x = random.floats(nTokens * k, 0, 1);
        double[] expected = MatrixOracle.product(x, true, x, false, k, k, nTokens, false);
        double[] bound = MatrixOracle.product(x, true, x, false, k, k, nTokens, true);
        try (Gpu gpu = Gpu.open()) {
            DeviceMatrix matrix = matrix(gpu, "x", x, nTokens, k);
            for (F32Gemm.Part part : new F32Gemm.Part[] {F32Gemm.Part.UPPER, F32Gemm.Part.LOWER}) {
                DeviceBuffer result = gpu.upload("gram", new float[k * k]);
                new F32Gemm(gpu.context()).addPart(gpu.stream(), 1, F32Gemm.transposed(matrix), F32Gemm.plain(matrix),
                        part, DeviceMatrix.of(result, k, k));
                gpu.finish();
                double[] actual = doubles(gpu.floats(result));
                double[] tolerance = new double[bound.length];
                for (int i = 0; i < bound.length; i++) {
                    boolean wanted = part == F32Gemm.Part.UPPER ? i % k >= i / k : i % k <= i / k;
                    tolerance[i] = wanted ? ROUNDING * nTokens * bound[i] : Double.POSITIVE_INFINITY;
                }
                Comparer.close(part + ", " + random, new int[] {k, k}, actual, expected, tolerance);
            }
        }
    }

    @Test
    void not_a_number_spreads() {
        try (Gpu gpu = Gpu.open()) {
            DeviceMatrix a = matrix(gpu, "a", new float[] {1, Float.NaN, 2, 3}, 2, 2);
            DeviceBuffer result = gpu.empty("c", 16);
            new F32Gemm(gpu.context()).multiply(gpu.stream(), 1, F32Gemm.plain(a), F32Gemm.plain(a),
                    DeviceMatrix.of(result, 2, 2));
            gpu.finish();
            org.assertj.core.api.Assertions.assertThat(gpu.floats(result)).containsExactly(Float.NaN, Float.NaN, 8,
                    Float.NaN);
        }
    }

    @Test
    void repeats_bit_for_bit() {
        Seeded random = Seeded.fresh("f32_gemm repeated");
        try (Gpu gpu = Gpu.open()) {
            F32Gemm gemm = new F32Gemm(gpu.context());
            DeviceMatrix a = matrix(gpu, "a", random.floats(260 * 512, 0, 1), 260, 512);
            byte[] first = null;
            for (int run = 0; run < 20; run++) {
                DeviceBuffer result = gpu.empty("c", 4 * 260 * 260);
                gemm.multiply(gpu.stream(), 1, F32Gemm.plain(a), F32Gemm.transposed(a), DeviceMatrix.of(result, 260, 260));
                gpu.finish();
                byte[] bytes = gpu.bytes(result);
                first = first == null ? bytes : first;
                Comparer.identical("run " + run, new int[] {260, 260, 4}, bytes, first);
            }
        }
    }

    static DeviceMatrix matrix(Gpu gpu, String label, float[] values, int rows, int columns) {
        return DeviceMatrix.of(gpu.upload(label, values), rows, columns);
    }

    static double[] doubles(float[] values) {
        double[] doubles = new double[values.length];
        Arrays.setAll(doubles, i -> values[i]);
        return doubles;
    }
}
