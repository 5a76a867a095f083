package io.fireq.engine.quant;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.fireq.engine.api.EngineOptions.CpuKernelChoice;
import io.fireq.engine.tensor.E4m3;
import io.fireq.engine.tensor.Int4Matrix;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class WeightRoundingTest {
    private static final int N = 96;
    private static final int K = 1024;

    private final MatrixMath math = CpuMatrixMath.create(2, CpuKernelChoice.AUTO);

    @AfterEach
    void close() {
        math.close();
    }

    @Test
    void paper_rounding_has_the_published_signal_to_noise_ratio_on_gaussian_weights() {
        float[] weights = gaussian(0.02f);
        // fireq-algorithm, 9.2: 18.44 dB for the kernel's σ_FP8, sd .02
        assertThat(sqnrDb(weights, paper("w", weights, N, K, 128))).isCloseTo(18.44, within(0.15));
    }

    @Test
    void a_search_for_scales_gains_more_than_a_decibel() {
        float[] weights = gaussian(0.02f);
        // 9.2: 19.74 dB for LUT-aware codes and scale search
        assertThat(sqnrDb(weights, searched("w", weights, N, K, 128, CodeTable.INTEGERS)))
                .isCloseTo(19.74, within(0.15));
    }

    @Test
    void levels_for_normally_distributed_weights_gain_more_on_such() {
        float[] weights = gaussian(0.02f);
        // a Gaussian rounded to its best sixteen levels: 20.2 dB, here with e4m3's rounding and a scale per group
        assertThat(sqnrDb(weights, searched("w", weights, N, K, 128, CodeTable.NORMAL))).isCloseTo(20.2, within(0.2));
    }

    @Test
    void paper_multiplier_is_the_smallest_that_leaves_no_scale_below_the_grid() {
        assertThat(PaperRounding.multiplier(new float[] {0.02f, 0.5f})).isEqualTo(1);
        assertThat(PaperRounding.multiplier(new float[] {0.01f, 0.5f})).isEqualTo(2);
        assertThat(PaperRounding.multiplier(new float[] {0.001f, 0.5f})).isEqualTo(16);
        // 0.0001 needs 256, but 300 · 2 exceeds 448: the search ends at 1
        assertThat(PaperRounding.multiplier(new float[] {0.0001f, 300f})).isEqualTo(1);
    }

    @Test
    void paper_rounding_by_hand() {
        // absmax 7 -> σ 1; 3.5 and 2.5 round to even; -6.6 -> -7
        float[] weights = {7, 3.5f, 2.5f, -6.6f};
        Int4Matrix matrix = paper("w", weights, 1, 4, 4);
        assertThat(matrix.scale(0, 0)).isEqualTo(1);
        assertThat(new int[] {matrix.code(0, 0), matrix.code(0, 1), matrix.code(0, 2), matrix.code(0, 3)})
                .containsExactly(7, 4, 2, 16 - 7);
    }

    @Test
    void nearest_is_the_nearest_of_all_sixteen_for_every_scale() {
        for (CodeTable table : CodeTable.values()) {
            requireNearest(table.levels());
        }
    }

    private static void requireNearest(float[] levels) {
        Int4Grid grid = new Int4Grid(levels);
        Random random = new Random(3);
        for (int scaleCode = 1; scaleCode <= 0x67; scaleCode++) { // up to 60: 8σ stays below 448 only to 56
            float scale = Math.min(56, E4m3.decode((byte) scaleCode));
            grid.scale(scale);
            for (int i = 0; i < 200; i++) {
                float x = (float) random.nextGaussian() * 4 * scale;
                float nearest = Float.POSITIVE_INFINITY;
                for (float level : levels) {
                    nearest = Math.min(nearest, Math.abs(x - E4m3.round(level * scale)));
                }
                int rank = grid.nearest(x);
                assertThat(Math.abs(x - grid.value(rank))).as("σ=%s x=%s", scale, x).isEqualTo(nearest);
                assertThat(grid.value(rank)).isEqualTo(E4m3.round(levels[grid.code(rank)] * scale));
            }
        }
    }

    @Test
    void an_all_zero_matrix_stays_zero() {
        float[] zero = new float[2 * 64];
        assertThat(paper("zero", zero, 2, 64, 32).get(1, 63)).isZero();
        for (CodeTable table : CodeTable.values()) {
            assertThat(searched("zero", zero, 2, 64, 32, table).get(1, 63)).isZero();
        }
    }

    private static float[] gaussian(float sd) {
        Random random = new Random(1);
        float[] weights = new float[N * K];
        for (int i = 0; i < weights.length; i++) {
            weights[i] = (float) random.nextGaussian() * sd;
        }
        return weights;
    }

    private Int4Matrix paper(String name, float[] weights, int n, int k, int groupSize) {
        return new PaperRounding(math).quantize(name, weights, n, k, groupSize);
    }

    private Int4Matrix searched(String name, float[] weights, int n, int k, int groupSize, CodeTable table) {
        try (Matrix matrix = math.upload(weights, k);
                WeightRounding rounding = math.rounding(matrix, groupSize, table.levels())) {
            rounding.round(null);
            return rounding.toMatrix(name);
        }
    }

    private static double sqnrDb(float[] weights, Int4Matrix matrix) {
        double signal = 0;
        double noise = 0;
        for (int i = 0; i < weights.length; i++) {
            double error = weights[i] - matrix.get(i / K, i % K);
            signal += weights[i] * weights[i];
            noise += error * error;
        }
        return 10 * Math.log10(signal / noise);
    }
}
