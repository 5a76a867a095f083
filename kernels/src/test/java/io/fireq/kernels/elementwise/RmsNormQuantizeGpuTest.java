package io.fireq.kernels.elementwise;

import io.fireq.kernels.cuda.DeviceBuffer;
import io.fireq.kernels.testing.Comparer;
import io.fireq.kernels.testing.Formats;
import io.fireq.kernels.testing.Gpu;
import io.fireq.kernels.testing.GpuTest;
import io.fireq.kernels.testing.Seeded;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@GpuTest
class RmsNormQuantizeGpuTest {
    private static final float EPSILON = 1e-5f;
    /** Relative error of a float32 sum of up to 8192 squares, of a root and of three products. */
    private static final double FLOAT_NOISE = 4e-6;

    @ParameterizedTest
    @CsvSource({"1, 1", "7, 113", "3, 512", "5, 4096", "2, 8192", "11, 1023"})
    void rounds_the_exact_norm(int nRows, int width) {
        Seeded random = Seeded.fresh("rmsnorm_quantize");
        check(random, random.bf16(nRows * width, 2), random.floats(width, 1, 0.3), nRows, width, null);
    }

    @Test
    void reads_the_rows_it_is_told_to() {
        Seeded random = Seeded.fresh("rmsnorm_quantize rows");
        check(random, random.bf16(9 * 72, 2), random.floats(72, 1, 0.3), 3, 72, new int[] {8, 0, 5});
    }

    @Test
    void keeps_a_row_of_zeros() {
        check(Seeded.fresh("rmsnorm_quantize zeros"), new short[2 * 64], new float[64], 2, 64, null);
    }

    private static void check(Seeded random, short[] x, float[] weight, int nRows, int width, int[] rows) {
        float[] values = new float[nRows * width];
        for (int i = 0; i < values.length; i++) {
            int row = rows == null ? i / width : rows[i / width];
            values[i] = Formats.fromBf16(x[row * width + i % width]);
        }
        double[] norm = RmsNormQuantizeOracle.norm(values, weight, EPSILON, width);
        try (Gpu gpu = Gpu.open()) {
            DeviceBuffer out = gpu.empty("out", (long) nRows * width);
            DeviceBuffer scale = gpu.empty("outScale", 4L * nRows);
            RmsNormQuantize kernel = new RmsNormQuantize(gpu.context());
            if (rows == null) {
                kernel.launch(gpu.stream(), gpu.upload("x", x), gpu.upload("weight", weight), EPSILON, nRows, width, out,
                        scale);
            } else {
                kernel.launchRows(gpu.stream(), gpu.upload("x", x), gpu.upload("rows", rows),
                        gpu.upload("weight", weight), EPSILON, nRows, width, out, scale);
            }
            gpu.finish();
            float[] scales = gpu.floats(scale);
            byte[] codes = gpu.bytes(out);
            double[] actual = new double[norm.length];
            double[] bound = new double[norm.length];
            for (int t = 0; t < nRows; t++) {
                double expected = RmsNormQuantizeOracle.scale(norm, t, width);
                Comparer.close("scale of row " + t + ", " + random, new int[] {1}, new double[] {scales[t]},
                        new double[] {expected}, new double[] {expected * FLOAT_NOISE});
                for (int i = t * width; i < (t + 1) * width; i++) {
                    actual[i] = Formats.fromE4m3(codes[i]) * (double) scales[t];
                    // The nearest code of the exact value, up to float noise: half a step of error.
                    double step = Formats.e4m3Step(norm[i] / scales[t]) * scales[t];
                    bound[i] = 0.5 * step + 2 * FLOAT_NOISE * Math.abs(norm[i]);
                }
            }
            Comparer.close("codes, " + random, new int[] {nRows, width}, actual, norm, bound);
        }
    }
}
