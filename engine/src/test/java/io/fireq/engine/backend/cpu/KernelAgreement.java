package io.fireq.engine.backend.cpu;

import io.fireq.engine.api.EngineOptions.CpuKernelChoice;
import io.fireq.engine.backend.TestMatrices;
import io.fireq.engine.tensor.E4m3;
import io.fireq.engine.tensor.E4m3Matrix;
import io.fireq.engine.tensor.Int4Matrix;
import java.util.Arrays;
import java.util.Random;

/**
 * Compares the Vector API kernels of this JVM with the plain ones, over shapes on both sides of every vector and tile
 * border. Also a program, so that a test can run it in JVMs with shorter vectors.
 */
final class KernelAgreement {
    private static final long SEED = 7_301;

    private final CpuKernels plain = CpuKernelSelection.choose(CpuKernelChoice.PLAIN).chosen();
    private final CpuKernels vector = CpuKernelSelection.choose(CpuKernelChoice.VECTOR).chosen();
    private final KernelScratch scratch = new KernelScratch();
    private int comparisons;

    /** Prints the kernels' name and exits with 0 if they agree; else ends with the difference. */
    public static void main(String[] args) {
        KernelAgreement agreement = new KernelAgreement();
        agreement.check();
        System.out.println(agreement.vector.name() + ": " + agreement.comparisons + " comparisons agree");
    }

    /** Throws an AssertionError that names the first difference. */
    void check() {
        matMuls();
        rowProducts();
        rowFunctions();
        unpacking();
    }

    int comparisons() {
        return comparisons;
    }

    private void matMuls() {
        int[][] shapes = {{37, 256, 128}, {21, 192, 64}, {9, 160, 32}, {6, 384, 64}, {5, 172, 86}, {4, 43, 43},
                {66, 128, 128}, {8, 1024, 256}, {3, 20, 4}};
        for (int[] shape : shapes) {
            int n = shape[0];
            int k = shape[1];
            Int4Weight int4 =
                    Int4Weight.of(TestMatrices.int4(n, k, shape[2], TestMatrices.UNEVEN_VALUES, SEED + k));
            E4m3Matrix e4m3 = TestMatrices.e4m3(n, k, SEED + k);
            for (int m : new int[] {1, 2, 4, 7}) {
                float[] x = e4m3Values(m * k);
                for (int begin : new int[] {0, 1, n - 1}) {
                    int rows = n - begin;
                    String what = "m=%d rows %d..%d k=%d group %d".formatted(m, begin, n - 1, k, shape[2]);
                    float[] wanted = new float[m * (rows + 3) + 2];
                    float[] actual = wanted.clone();
                    plain.int4MatMul(int4, begin, n, plain.int4Order(x, m, k, new float[m * k]), m, wanted, 2, rows + 3,
                            scratch);
                    vector.int4MatMul(int4, begin, n, vector.int4Order(x, m, k, new float[m * k]), m, actual, 2,
                            rows + 3, scratch);
                    compare("int4 " + what, wanted, actual, 1e-5f);
                    Arrays.fill(wanted, 0);
                    Arrays.fill(actual, 0);
                    plain.e4m3MatMul(e4m3, begin, n, plain.e4m3Order(x, m, k, new float[m * k]), m, wanted, 2, rows + 3,
                            scratch);
                    vector.e4m3MatMul(e4m3, begin, n, vector.e4m3Order(x, m, k, new float[m * k]), m, actual, 2,
                            rows + 3, scratch);
                    compare("e4m3 " + what, wanted, actual, 1e-5f);
                }
            }
        }
    }

    private void rowProducts() {
        for (int k : new int[] {1, 7, 16, 64, 100, 131}) {
            for (int m : new int[] {1, 4, 6}) {
                for (int n : new int[] {1, 3, 4, 9}) {
                    int stride = k + 5;
                    float[] a = normal(m * (n + k + 5) + 2);
                    float[] b = normal((n + k) * stride);
                    float[] wanted = new float[m * (n + k + 8)];
                    float[] actual = wanted.clone();
                    plain.dots(a, 1, k + 2, m, b, 2, stride, n, k, wanted, 1, n + 1, scratch);
                    vector.dots(a, 1, k + 2, m, b, 2, stride, n, k, actual, 1, n + 1, scratch);
                    compare("dots m=%d n=%d k=%d".formatted(m, n, k), wanted, actual, 1e-5f);
                    plain.addWeightedRows(a, 1, n + 2, m, b, 3, stride, n, k, wanted, 2, k + 1, scratch);
                    vector.addWeightedRows(a, 1, n + 2, m, b, 3, stride, n, k, actual, 2, k + 1, scratch);
                    compare("weighted rows m=%d n=%d k=%d".formatted(m, n, k), wanted, actual, 1e-5f);
                }
            }
        }
    }

    private void rowFunctions() {
        for (int count : new int[] {1, 15, 16, 33, 128, 1000}) {
            for (float magnitude : new float[] {1e-3f, 1, 30, 3e4f}) {
                float[] x = normal(count + 2);
                for (int i = 0; i < x.length; i++) {
                    x[i] *= i % 5 == 0 ? magnitude * 1e-5f : magnitude; // subnormals beside large values
                }
                float[] wanted = new float[count + 3];
                float[] actual = wanted.clone();
                float scale = plain.quantizeRow(x, 1, count, wanted, 2);
                float vectorScale = vector.quantizeRow(x, 1, count, actual, 2);
                compare("quantize scale", new float[] {scale}, new float[] {vectorScale}, 0);
                compare("quantize " + count, wanted, actual, 0);

                wanted = x.clone();
                actual = x.clone();
                float sum = plain.softmaxRow(wanted, 1, count, 0.7f, scratch);
                float vectorSum = vector.softmaxRow(actual, 1, count, 0.7f, scratch);
                compare("softmax " + count + " of " + magnitude, wanted, actual, 4e-7f);
                compare("softmax sum", new float[] {sum}, new float[] {vectorSum}, 1e-5f);

                wanted = x.clone();
                actual = x.clone();
                float[] up = normal(count);
                plain.siluMul(wanted, 1, up, 0, count);
                vector.siluMul(actual, 1, up, 0, count);
                compare("SiLU " + count + " of " + magnitude, wanted, actual, 4e-7f);
            }
        }
        compare("quantize zeros", new float[] {1}, new float[] {vector.quantizeRow(new float[40], 0, 40, new float[40], 0)},
                0);
        float[] withNan = normal(40);
        withNan[17] = Float.NaN;
        vector.quantizeRow(withNan, 0, 40, withNan, 0);
        if (!Float.isNaN(withNan[17])) {
            throw new AssertionError("quantize: NaN became " + withNan[17]);
        }
    }

    private void unpacking() {
        int[] words = new Random(SEED).ints(200).toArray();
        for (int count : new int[] {1, 5, 8, 16, 33, 128}) {
            for (int first = 0; first < 8; first++) {
                float[] wanted = new float[8 * 130 + 3];
                float[] actual = wanted.clone();
                plain.unpackCodes(words, 4, count, first, 8 - first, wanted, 3, 130);
                vector.unpackCodes(words, 4, count, first, 8 - first, actual, 3, 130);
                compare("unpack %d from nibble %d".formatted(count, first), wanted, actual, 0);
            }
        }
    }

    /** Relative to the value or, where terms cancel, to the largest one. */
    private void compare(String what, float[] wanted, float[] actual, float bound) {
        float largest = 0;
        for (float value : wanted) {
            largest = Math.max(largest, Math.abs(value));
        }
        for (int i = 0; i < wanted.length; i++) {
            if (!(Math.abs(wanted[i] - actual[i]) <= bound * largest)) {
                throw new AssertionError("%s at %d, seed %d: plain %s, vector %s".formatted(what, i, SEED, wanted[i],
                        actual[i]));
            }
        }
        comparisons++;
    }

    private static float[] normal(int count) {
        Random random = new Random(SEED + count);
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return values;
    }

    private static float[] e4m3Values(int count) {
        float[] values = normal(count);
        for (int i = 0; i < count; i++) {
            values[i] = E4m3.round(values[i] * 100);
        }
        return values;
    }
}
