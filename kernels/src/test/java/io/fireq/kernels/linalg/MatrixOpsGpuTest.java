package io.fireq.kernels.linalg;

import io.fireq.kernels.cuda.DeviceBuffer;
import io.fireq.kernels.testing.Comparer;
import io.fireq.kernels.testing.Gpu;
import io.fireq.kernels.testing.GpuTest;
import io.fireq.kernels.testing.Seeded;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.stream.IntStream;
import org.assertj.core.api.Assertions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

@GpuTest
class MatrixOpsGpuTest {

    @ParameterizedTest
    @ValueSource(ints = {1, 31, 64, 113})
    void mirrors_what_is_above_the_diagonal(int k) {
        Seeded random = Seeded.fresh("mirror");
        float[] a = random.floats(k * k, 0, 1);
        try (Gpu gpu = Gpu.open()) {
            DeviceBuffer buffer = gpu.upload("a", a);
            new MatrixOps(gpu.context()).mirror(gpu.stream(), DeviceMatrix.of(buffer, k, k));
            gpu.finish();
            close("mirror, " + random, k, F32GemmGpuTest.doubles(gpu.floats(buffer)), MatrixOracle.mirror(a, k), 0);
        }
    }

    @ParameterizedTest
    @CsvSource({"1, 1", "7, 300", "65, 23"})
    void gathers_and_scales(int rows, int columns) {
        Seeded random = Seeded.fresh("scaled_gather");
        float[] in = random.floats(rows * columns, 0, 1);
        int[] rowOf = random.permutation(rows);
        int[] columnOf = random.permutation(columns);
        double[] rowFactor = F32GemmGpuTest.doubles(random.floats(rows, 1, 0.3));
        double[] columnFactor = F32GemmGpuTest.doubles(random.floats(columns, 1, 0.3));
        try (Gpu gpu = Gpu.open()) {
            MatrixOps ops = new MatrixOps(gpu.context());
            DeviceMatrix source = F32GemmGpuTest.matrix(gpu, "in", in, rows, columns);
            DeviceBuffer all = gpu.empty("all", 4L * rows * columns);
            ops.copy(gpu.stream(), source, 1, new MatrixOps.Selection(gpu.upload("rowOf", rowOf),
                    gpu.upload("columnOf", columnOf), upload(gpu, rowFactor), upload(gpu, columnFactor)),
                    DeviceMatrix.of(all, rows, columns));
            int some = (rows + 2) / 3;
            DeviceBuffer third = gpu.empty("every third", 4L * some * columns);
            ops.copy(gpu.stream(), source, 3, MatrixOps.Selection.ALL, DeviceMatrix.of(third, some, columns));
            gpu.finish();
            close("gather, " + random, columns, F32GemmGpuTest.doubles(gpu.floats(all)),
                    MatrixOracle.gather(in, columns, rowOf, columnOf, rowFactor, columnFactor), 0x1p-23);
            int[] thirds = IntStream.range(0, some).map(i -> 3 * i).toArray();
            int[] inOrder = IntStream.range(0, columns).toArray();
            double[] ones = new double[Math.max(some, columns)];
            Arrays.fill(ones, 1);
            close("every third, " + random, columns, F32GemmGpuTest.doubles(gpu.floats(third)),
                    MatrixOracle.gather(in, columns, thirds, inOrder, ones, ones), 0);
        }
    }

    @ParameterizedTest
    @CsvSource({"1, 1", "7, 300", "3, 14336"})
    void sums_and_largest_of_rows(int rows, int columns) {
        Seeded random = Seeded.fresh("row_dots");
        float[] a = random.floats(rows * columns, 0, 1);
        float[] b = random.floats(rows * columns, 0, 1);
        float[] c = random.floats(rows * columns, 0, 1);
        try (Gpu gpu = Gpu.open()) {
            MatrixOps ops = new MatrixOps(gpu.context());
            DeviceBuffer sums = gpu.empty("sums", 8L * rows);
            DeviceBuffer plain = gpu.empty("plain sums", 8L * rows);
            DeviceBuffer largest = gpu.empty("largest", 4L * rows);
            DeviceMatrix left = F32GemmGpuTest.matrix(gpu, "a", a, rows, columns);
            DeviceMatrix right = F32GemmGpuTest.matrix(gpu, "b", b, rows, columns);
            ops.rowDots(gpu.stream(), left, 2, right, F32GemmGpuTest.matrix(gpu, "c", c, rows, columns), sums);
            ops.rowDots(gpu.stream(), left, 1, right, null, plain);
            ops.rowAbsmax(gpu.stream(), left, largest);
            ops.add(gpu.stream(), right, left);
            gpu.finish();
            double tolerance = 1e-12 * columns;
            close("sums, " + random, 1, doubles(gpu, sums), MatrixOracle.rowDots(a, 2, b, c, columns), tolerance);
            close("plain, " + random, 1, doubles(gpu, plain),
                    MatrixOracle.rowDots(a, 1, b, new float[c.length], columns), tolerance);
            double[] maxima = new double[rows];
            double[] added = new double[a.length];
            for (int i = 0; i < a.length; i++) {
                maxima[i / columns] = Math.max(maxima[i / columns], Math.abs(a[i]));
                added[i] = a[i] + b[i];
            }
            close("largest, " + random, 1, F32GemmGpuTest.doubles(gpu.floats(largest)), maxima, 0);
            close("added, " + random, columns, F32GemmGpuTest.doubles(gpu.floats(right.values())), added, 0);
        }
    }

    @Test
    void refuses_what_does_not_fit() {
        try (Gpu gpu = Gpu.open()) {
            DeviceMatrix a = F32GemmGpuTest.matrix(gpu, "a", new float[6], 2, 3);
            Assertions.assertThatThrownBy(() -> new MatrixOps(gpu.context()).mirror(gpu.stream(), a))
                    .hasMessageContaining("[2, 3] is not square");
            Assertions.assertThatThrownBy(() -> DeviceMatrix.of(a.values(), 3, 3)).hasMessageContaining("smaller");
        }
    }

    private static DeviceBuffer upload(Gpu gpu, double[] values) {
        ByteBuffer bytes = ByteBuffer.allocate(8 * values.length).order(ByteOrder.LITTLE_ENDIAN);
        bytes.asDoubleBuffer().put(values);
        return gpu.upload("f64", bytes.array());
    }

    static double[] doubles(Gpu gpu, DeviceBuffer buffer) {
        double[] values = new double[(int) (buffer.byteSize() / 8)];
        ByteBuffer.wrap(gpu.bytes(buffer)).order(ByteOrder.LITTLE_ENDIAN).asDoubleBuffer().get(values);
        return values;
    }

    private static void close(String what, int columns, double[] actual, double[] expected, double tolerance) {
        double[] bound = new double[expected.length];
        Arrays.setAll(bound, i -> tolerance * Math.max(1, Math.abs(expected[i])));
        Comparer.close(what, new int[] {expected.length / columns, columns}, actual, expected, bound);
    }
}
