package io.fireq.engine.quant;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.fireq.engine.api.EngineOptions.CpuKernelChoice;
import io.fireq.engine.tensor.E4m3;
import io.fireq.engine.tensor.E4m3Matrix;
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
        // 9.2: 20.35 dB for the fifteen best levels; the sixteenth is worth up to 20·log10(16/15) = 0.56
        assertThat(sqnrDb(weights, searched("w", weights, N, K, 128, CodeTable.NORMAL))).isBetween(20.6, 20.9);
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

    /** The sixteen e4m3 bytes a kernel looks up, for codes −8..−1: fireq-algorithm, 1.4. */
    @Test
    void a_code_stands_for_the_rounded_product_of_the_published_table() {
        requireTable(0x38, 0xD0, 0xCE, 0xCC, 0xCA, 0xC8, 0xC4, 0xC0, 0xB8); // σ = 1
        requireTable(0x39, 0xD1, 0xD0, 0xCE, 0xCB, 0xC9, 0xC6, 0xC1, 0xB9); // 1.125: 7 · 1.125 = 7.875 becomes 8
        requireTable(0x3E, 0xD6, 0xD4, 0xD2, 0xD1, 0xCE, 0xCA, 0xC6, 0xBE); // 1.75
        requireTable(0x03, 0x94, 0x92, 0x91, 0x8F, 0x8C, 0x89, 0x86, 0x83); // 3 · 2⁻⁹
    }

    private static void requireTable(int scale, int... bytes) {
        Int4Packer packer = new Int4Packer(1, 16, 16);
        packer.rowScale(0, 1);
        packer.groupScale(0, 0, E4m3.decode((byte) scale));
        for (int column = 0; column < 16; column++) {
            packer.code(0, column, column - 8);
        }
        Int4Matrix matrix = packer.build("table", Int4Matrix.integers());
        Int4Grid grid = new Int4Grid(Int4Matrix.integers());
        grid.scale(E4m3.decode((byte) scale));
        for (int i = 0; i < 8; i++) {
            float expected = E4m3.decode((byte) bytes[i]);
            assertThat(matrix.get(0, i)).as("σ = %02X, code %d", scale, i - 8).isEqualTo(expected);
            assertThat(grid.value(i)).isEqualTo(expected);
            if (i > 0) { // the positive half has no 8
                assertThat(matrix.get(0, 16 - i)).isEqualTo(-expected);
            }
        }
        assertThat(matrix.get(0, 8)).isZero();
    }

    @Test
    void bf16_scales_by_hand() {
        // absmax 6.5 -> σ bf16(0.92857) = 0.9296875; codes 7 and −3 -> 6.5078125 -> bf16 6.5 and −2.789; row 6.5/448
        float[] weights = {6.5f, -2.8f, 0.1f, 0};
        E4m3Matrix matrix = new PaperRounding(math).quantizeWithBf16Scales("w", weights, 1, 4, 4);
        assertThat(matrix.get(0, 0)).isCloseTo(6.5f, within(0.02f));
        assertThat(matrix.get(0, 1)).isCloseTo(-2.789f, within(0.1f));
        assertThat(matrix.get(0, 2)).as("0.1 / 0.93 rounds to 0").isZero();
        assertThat(matrix.get(0, 3)).isZero();
        float[] gaussian = gaussian(0.02f);
        E4m3Matrix rounded = new PaperRounding(math).quantizeWithBf16Scales("w", gaussian, N, K, 128);
        // The group scale is nearly exact, the second rounding to e4m3 costs 0.1 to 0.3 dB of 18.58 (9.2).
        assertThat(Sqnr.decibels(gaussian, rounded)).isBetween(18.2, 18.6);
    }

    @Test
    void noise_of_nothing_is_no_noise() {
        assertThat(Sqnr.decibels(1, 0)).isInfinite();
        assertThat(Sqnr.decibels(0, 0)).isInfinite();
        assertThat(Sqnr.decibels(100, 1)).isEqualTo(20);
        assertThat(Sqnr.decibels(1, Double.NaN)).isNaN();
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
