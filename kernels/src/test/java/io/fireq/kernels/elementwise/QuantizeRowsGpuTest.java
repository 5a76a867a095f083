package io.fireq.kernels.elementwise;

import static org.assertj.core.api.Assertions.assertThat;

import io.fireq.kernels.cuda.DeviceBuffer;
import io.fireq.kernels.testing.Comparer;
import io.fireq.kernels.testing.Formats;
import io.fireq.kernels.testing.Gpu;
import io.fireq.kernels.testing.GpuTest;
import io.fireq.kernels.testing.Seeded;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@GpuTest
class QuantizeRowsGpuTest {

    @ParameterizedTest
    @CsvSource({"1, 1", "7, 113", "3, 64", "5, 4096", "2, 14336", "11, 1023"})
    void equals_the_oracle_bit_for_bit(int nRows, int width) {
        Seeded random = Seeded.fresh("quantize_rows");
        check(random.toString(), random.bf16(nRows * width, 3), nRows, width);
    }

    @Test
    void keeps_a_row_of_zeros_and_the_extremes_of_bf16() {
        int width = 40;
        short[] x = new short[4 * width];
        Arrays.fill(x, width, 2 * width, Formats.bf16(1e-38f));
        Arrays.fill(x, 2 * width, 3 * width, Formats.bf16(-3e38f));
        x[3 * width + 17] = Formats.bf16(5);
        check("boundary fills", x, 4, width);
    }

    private static void check(String seed, short[] x, int nRows, int width) {
        float[] values = new float[x.length];
        for (int i = 0; i < x.length; i++) {
            values[i] = Formats.fromBf16(x[i]);
        }
        QuantizeRowsOracle.Result expected = QuantizeRowsOracle.quantize(values, width);
        try (Gpu gpu = Gpu.open()) {
            DeviceBuffer out = gpu.empty("out", (long) nRows * width);
            DeviceBuffer scale = gpu.empty("outScale", 4L * nRows);
            new QuantizeRows(gpu.context()).launch(gpu.stream(), gpu.upload("x", x), nRows, width, out, scale);
            gpu.finish();
            assertThat(gpu.floats(scale)).as(seed).containsExactly(expected.scales());
            Comparer.identical("codes, " + seed, new int[] {nRows, width}, gpu.bytes(out), expected.codes());
        }
    }
}
