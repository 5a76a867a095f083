package io.fireq.kernels.elementwise;

import static org.assertj.core.api.Assertions.assertThat;

import io.fireq.kernels.cuda.DeviceBuffer;
import io.fireq.kernels.testing.Gpu;
import io.fireq.kernels.testing.GpuTest;
import io.fireq.kernels.testing.Seeded;
import java.util.Arrays;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@GpuTest
class ArgmaxRowsGpuTest {

    @ParameterizedTest
    @CsvSource({"1, 1", "9, 7", "11, 1023", "10, 8192", "9, 128256"})
    void finds_the_first_of_the_largest(int nRows, int width) {
        Seeded random = Seeded.fresh("argmax_rows");
        float[] x = random.floats(nRows * width, 0, 5);
        if (nRows > 8) {
            put(x, width, 1, random.below(width), 100); // a tie of three, the first of which counts
            put(x, width, 1, random.below(width), 100);
            put(x, width, 1, width - 1, 100);
            Arrays.fill(x, 2 * width, 3 * width, -3f);
            put(x, width, 3, random.below(width), Float.NaN);
            put(x, width, 4, random.below(width), Float.POSITIVE_INFINITY);
            Arrays.fill(x, 5 * width, 6 * width, Float.NEGATIVE_INFINITY);
            Arrays.fill(x, 6 * width, 7 * width, Float.NEGATIVE_INFINITY);
            put(x, width, 6, random.below(width), -7); // all but one are minus infinity
            Arrays.fill(x, 7 * width, 8 * width, Float.NaN);
            Arrays.fill(x, 8 * width, 9 * width, 0f);
            put(x, width, 8, 0, -0f);
        }
        try (Gpu gpu = Gpu.open()) {
            DeviceBuffer out = gpu.empty("out", 4L * nRows);
            new ArgmaxRows(gpu.context()).launch(gpu.stream(), gpu.upload("x", x), nRows, width, out);
            gpu.finish();
            int[] actual = new int[nRows];
            for (int t = 0; t < nRows; t++) {
                actual[t] = Float.floatToRawIntBits(gpu.floats(out)[t]);
            }
            assertThat(actual).as(random.toString()).isEqualTo(ArgmaxRowsOracle.argmax(x, width));
        }
    }

    private static void put(float[] x, int width, int row, int column, float value) {
        x[row * width + column] = value;
    }
}
