package io.fireq.engine.quant;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.fireq.engine.api.EngineOptions.CpuKernelChoice;
import io.fireq.engine.backend.cpu.CpuMath;
import io.fireq.engine.backend.cuda.CudaMath;
import io.fireq.engine.backend.cuda.GpuTest;
import java.util.Arrays;
import java.util.Random;
import java.util.function.Function;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** The GPU's matrix work agrees with the CPU's. */
@GpuTest
class CudaMatrixMathTest {
    private static final int K = 192;
    private static final int N = 40;
    private static final int TOKENS = 700;
    private static final int GROUP = 64;

    private final MatrixMath cpu = CpuMatrixMath.create(2, CpuKernelChoice.PLAIN);
    private final MatrixMath cuda =
            new CudaMatrixMath(CudaMath.open(), CpuMath.create(2, CpuKernelChoice.PLAIN));
    private final Random random = new Random(5);

    @AfterEach
    void close() {
        cpu.close();
        cuda.close();
    }

    private float[] normal(int count, double deviation) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = (float) (deviation * random.nextGaussian());
        }
        return values;
    }

    private void agree(double tolerance, Function<MatrixMath, Matrix> work) {
        try (Matrix expected = work.apply(cpu); Matrix actual = work.apply(cuda)) {
            assertThat(actual.rows()).isEqualTo(expected.rows());
            close(cuda.download(actual), cpu.download(expected), tolerance);
        }
    }

    private static void close(float[] actual, float[] expected, double tolerance) {
        assertThat(actual).hasSameSizeAs(expected);
        double largest = 0;
        for (float value : expected) {
            largest = Math.max(largest, Math.abs(value));
        }
        for (int i = 0; i < actual.length; i++) {
            double error = Math.abs(actual[i] - expected[i]);
            assertThat(error <= tolerance * largest).as("element %d: %s, expected %s", i, actual[i], expected[i]).isTrue();
        }
    }

    @Test
    void moves_and_scales_alike() {
        float[] a = normal(K * K, 1);
        int[] order = new int[K];
        Arrays.setAll(order, i -> (i * 5 + 3) % K);
        double[] scales = new double[K];
        Arrays.setAll(scales, i -> 0.5 + i / (double) K);
        float[] diagonal = normal(K, 3);
        agree(0, math -> math.upload(a, K));
        agree(0, math -> math.zeros(3, K));
        for (int step : new int[] {1, 8}) {
            agree(0, math -> with(math, a, m -> math.everyRow(m, step)));
        }
        agree(0, math -> with(math, a, m -> math.rows(m, 7, 20)));
        agree(0, math -> with(math, a, m -> math.permuted(m, order)));
        agree(1e-7, math -> with(math, a, m -> math.timesColumns(m, scales)));
        agree(1e-7, math -> with(math, a, m -> math.overPairs(m, scales)));
        agree(0, math -> with(math, a, m -> math.withDiagonal(m, diagonal)));
        agree(0, math -> with(math, a, m -> math.upload(math.diagonal(m), 1)));
    }

    private static Matrix with(MatrixMath math, float[] a, Function<Matrix, Matrix> work) {
        try (Matrix matrix = math.upload(a, K)) {
            return work.apply(matrix);
        }
    }

    @Test
    void sums_and_factors_alike() {
        float[] x = normal(TOKENS * K, 1);
        float[] y = normal(TOKENS * N, 1);
        agree(1e-5, math -> gram(math, x));
        agree(1e-5, math -> {
            Matrix sum = math.zeros(N, K);
            math.addCross(y, x, TOKENS, sum);
            return sum;
        });
        float[] w = normal(N * K, 0.02);
        agree(1e-5, math -> {
            try (Matrix gram = gram(math, x); Matrix weights = math.upload(w, K)) {
                Matrix sum = math.upload(w, K);
                math.addProduct(weights, gram, sum);
                try (Matrix operand = math.rows(sum, 0, N)) {
                    math.subtractProduct(operand, gram, sum);
                }
                return sum;
            }
        });
        agree(1e-4, math -> {
            try (Matrix gram = gram(math, x)) {
                return math.inverseCholesky(gram, 0.1);
            }
        });
        agree(1e-4, math -> {
            try (Matrix gram = gram(math, x); Matrix triangle = math.inverseCholesky(gram, 0.1);
                    Matrix weights = math.upload(w, K)) {
                return math.timesInverse(weights, triangle);
            }
        });
        try (Matrix a = cpu.upload(x, K); Matrix b = cuda.upload(x, K)) {
            double dot = cpu.dot(a, a);
            assertThat(Math.abs(cuda.dot(b, b) - dot)).isLessThan(1e-9 * dot);
            double gain = cpu.gain(a, a, a);
            assertThat(Math.abs(cuda.gain(b, b, b) - gain)).isLessThan(1e-9 * gain);
        }
    }

    private static Matrix gram(MatrixMath math, float[] x) {
        Matrix gram = math.zeros(K, K);
        math.addGram(x, TOKENS, gram);
        math.mirror(gram);
        return gram;
    }

    @Test
    void rounds_nearly_alike() {
        float[] x = normal(TOKENS * K, 1);
        for (int i = 0; i < x.length; i++) {
            x[i] *= i % K % 50 == 3 ? 8 : 1;
        }
        float[] w = normal(N * K, 0.02);
        for (CodeTable table : CodeTable.values()) {
            double[] expected = errors(cpu, x, w, table);
            double[] actual = errors(cuda, x, w, table);
            for (int i = 0; i < expected.length; i++) {
                assertThat(actual[i]).as("%s, measure %d", table, i).isBetween(0.97 * expected[i], 1.03 * expected[i]);
            }
        }
    }

    /** Plain rounding's squared error; the outputs' error after it, after GPTQ, and after refinement. */
    private static double[] errors(MatrixMath math, float[] x, float[] w, CodeTable table) {
        double[] errors = new double[4];
        int[] order = new int[K];
        Arrays.setAll(order, i -> K - GROUP * (i / GROUP + 1) + i % GROUP);
        try (Matrix gram = gram(math, x); Matrix weights = math.upload(w, K)) {
            try (WeightRounding plain = math.rounding(weights, GROUP, table.levels())) {
                plain.round(math.diagonal(gram));
                errors[0] = plain.squaredError();
                errors[1] = plain.outputError(gram);
                assertThat(plain.toMatrix("w").k()).isEqualTo(K);
            }
            try (Matrix permuted = math.permuted(gram, order); Matrix triangle = math.inverseCholesky(permuted, 0.01);
                    WeightRounding rounding = math.rounding(weights, GROUP, table.levels())) {
                rounding.roundWithFeedback(triangle, order);
                errors[2] = rounding.outputError(gram);
                for (int i = 0; i < 3; i++) {
                    rounding.refine(gram);
                    rounding.fitRowScales(gram);
                }
                errors[3] = rounding.outputError(gram);
                assertThat(errors[3]).isLessThan(errors[2]).isLessThan(errors[1]);
            }
        }
        return errors;
    }

    @Test
    void refuses_what_cannot_be_factored() {
        float[] a = new float[K * K];
        Arrays.fill(a, Float.NaN);
        try (Matrix matrix = cuda.upload(a, K)) {
            assertThatThrownBy(() -> cuda.inverseCholesky(matrix, 0.1)).hasMessageContaining("not positive definite");
        }
    }
}
