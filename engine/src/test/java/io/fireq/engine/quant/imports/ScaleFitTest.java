package io.fireq.engine.quant.imports;

import static org.assertj.core.api.Assertions.assertThat;

import io.fireq.engine.quant.Sqnr;
import io.fireq.engine.tensor.Bf16;
import io.fireq.engine.tensor.Int4Matrix;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Codes stay what they are; what is exact and what rounding of scales costs. */
class ScaleFitTest {
    private static final int N = 24;
    private static final int K = 512;

    @Test
    void one_scale_per_row_is_exact() {
        GroupedInt4 source = source(RoundedLayer.symmetric(SourceLayoutTest.gaussian(N * K), N, K, K));
        assertExact(source);
        assertCodesKept(source);
    }

    @ParameterizedTest
    @ValueSource(ints = {16, 32, 64, 128})
    void scales_that_differ_by_powers_of_two_are_exact(int groupSize) {
        float[] weights = SourceLayoutTest.gaussian(N * K);
        for (int i = 0; i < weights.length; i++) {
            weights[i] *= 1 << (i / groupSize) % 5; // neighbouring groups are up to 16 times larger
        }
        GroupedInt4 source = source(RoundedLayer.symmetric(weights, N, K, groupSize).withPowerOfTwoScales());
        assertThat(Arrays.stream(boxed(source.scales())).distinct().count()).isGreaterThan(3);
        assertExact(source);
    }

    @Test
    void one_scale_times_powers_of_two_is_exact_whatever_the_scale() {
        float[] scales = {0.0123f, 0.0123f / 4, 0.0123f * 2, 0.0123f / 64};
        assertExact(new GroupedInt4("w", 1, 64, steps(64, -8, 7), 4, GroupedInt4.contiguousGroups(64, 4), scales));
    }

    @Test
    void codes_that_four_bits_of_scale_can_multiply_are_exact() {
        // σ = 5 · 2^x: 5 · 3 = 15 has four bits, 5 · 5 has not. σ = 7 · 2^x: only with 1 and 2 and 4 and 8.
        float[] scales = {0.5f, 0.625f, 0.875f};
        byte[] steps = {7, -5, 6, -8, 3, -3, 1, 6, 1, -2, 4, -8};
        assertExact(new GroupedInt4("w", 1, 12, steps, 3, GroupedInt4.contiguousGroups(12, 3), scales));
        steps[4] = 5;
        GroupedInt4 inexact = source("w", steps, scales);
        assertThat(Sqnr.decibels(inexact::get, ScaleFit.fit(inexact))).isBetween(28.0, 60.0);
    }

    private static GroupedInt4 source(String name, byte[] steps, float[] scales) {
        return new GroupedInt4(name, 1, steps.length, steps, scales.length,
                GroupedInt4.contiguousGroups(steps.length, scales.length), scales);
    }

    @ParameterizedTest
    @ValueSource(ints = {16, 32, 64, 128})
    void rounding_of_scales_costs_less_than_a_tenth_of_what_four_bits_cost(int groupSize) {
        float[] weights = SourceLayoutTest.gaussian(N * K);
        RoundedLayer layer = RoundedLayer.symmetric(weights, N, K, groupSize);
        GroupedInt4 source = source(layer);
        Int4Matrix fitted = ScaleFit.fit(source);
        double db = Sqnr.decibels(source::get, fitted);
        System.out.printf("group size %d: scales rounded to e4m3 are %.2f dB from the source%n", groupSize, db);
        assertThat(db).isGreaterThan(30); // rounding to four bits leaves about 20
        assertCodesKept(source);
    }

    @Test
    void groups_of_very_different_size_share_a_row() {
        float[] weights = SourceLayoutTest.gaussian(N * K);
        for (int i = 0; i < weights.length; i++) {
            weights[i] *= (float) Math.pow(10, -(i / 128) % 4); // 1 to 1000
        }
        GroupedInt4 source = source(RoundedLayer.symmetric(weights, N, K, 128));
        Int4Matrix fitted = ScaleFit.fit(source);
        assertThat(Sqnr.decibels(source::get, fitted)).isGreaterThan(30);
        for (int group = 0; group < 4; group++) { // each by itself, too
            double signal = 0;
            double noise = 0;
            for (int column = group * 128; column < (group + 1) * 128; column++) {
                signal += Math.pow(source.get(0, column), 2);
                noise += Math.pow(source.get(0, column) - fitted.get(0, column), 2);
            }
            assertThat(10 * Math.log10(signal / noise)).as("group %d", group).isGreaterThan(24);
        }
    }

    @Test
    void steps_of_minus_seven_to_eight_are_kept_by_a_negative_scale() {
        byte[] steps = steps(64, -7, 8);
        GroupedInt4 source = new GroupedInt4("w", 1, 64, steps, 2, GroupedInt4.contiguousGroups(64, 2),
                new float[] {0.25f, 0.5f});
        assertThat(ScaleFit.misfit(source)).isEmpty();
        Int4Matrix fitted = assertExact(source);
        assertThat(fitted.scale(0, 0)).isNegative();
        assertThat(fitted.code(0, 0)).isEqualTo(-steps[0] & 15);
    }

    @Test
    void negative_scales_are_kept() {
        GroupedInt4 source = new GroupedInt4("w", 1, 64, steps(64, -8, 7), 2, GroupedInt4.contiguousGroups(64, 2),
                new float[] {-0.25f, 0.5f});
        Int4Matrix fitted = assertExact(source);
        assertThat(fitted.scale(0, 0)).isNegative();
        assertThat(fitted.scale(0, 1)).isPositive();
    }

    @Test
    void dead_groups_and_rows_are_zero() {
        byte[] steps = steps(2 * 64, -15, 15);
        Arrays.fill(steps, 32, 64, (byte) 0);
        GroupedInt4 source = new GroupedInt4("w", 2, 64, steps, 2, GroupedInt4.contiguousGroups(64, 2),
                new float[] {0, 0.5f, 0, 0});
        assertThat(ScaleFit.misfit(source)).as("a scale of zero makes any step fit").isEmpty();
        Int4Matrix fitted = assertExact(source);
        for (int column = 0; column < 64; column++) {
            assertThat(fitted.code(1, column)).isZero();
            assertThat(fitted.get(1, column)).isZero();
        }
        assertThat(fitted.rowScale()).containsExactly(1, 1);
    }

    @Test
    void misfits_say_why() {
        int[] groupOf = GroupedInt4.contiguousGroups(64, 2);
        float[] scales = {1, 1, 1, 1};
        byte[] steps = steps(2 * 64, -8, 7);
        steps[70] = -11;
        steps[71] = 3;
        steps[120] = -8;
        steps[121] = 9;
        assertThat(ScaleFit.misfit(new GroupedInt4("w", 2, 64, steps, 2, groupOf, scales)).orElseThrow())
                .contains("2 of its 4 groups").contains("-11 to 9 steps");
        assertThat(ScaleFit.misfit(new GroupedInt4("w", 2, 64, steps(128, -8, 7), 2,
                SourceLayoutTest.permuted(groupOf), scales)).orElseThrow()).contains("activation order");
        assertThat(ScaleFit.misfit(new GroupedInt4("w", 1, 15, new byte[15], 3,
                GroupedInt4.contiguousGroups(15, 3), new float[3])).orElseThrow()).contains("groups have 5 columns");
    }

    @Test
    void an_odd_row_of_one_group_is_exact() {
        assertExact(new GroupedInt4("w", 3, 11, steps(33, -8, 7), 1, new int[11], new float[] {1, 0.3f, 7e-5f}));
    }

    @Test
    void scales_of_bfloat16_and_float32_are_taken_as_they_are() {
        Random random = new Random(7);
        float[] scales = new float[N];
        for (int i = 0; i < N; i++) {
            scales[i] = i % 2 == 0 ? Bf16.round(random.nextFloat()) : random.nextFloat();
        }
        assertExact(new GroupedInt4("w", N, 64, steps(N * 64, -8, 7), 1, new int[64], scales));
    }

    private static Int4Matrix assertExact(GroupedInt4 source) {
        Int4Matrix fitted = ScaleFit.fit(source);
        for (int row = 0; row < source.n(); row++) {
            for (int column = 0; column < source.k(); column++) {
                assertThat(fitted.get(row, column)).as("[%d, %d]", row, column).isEqualTo(source.get(row, column) + 0f);
            }
        }
        assertThat(Sqnr.decibels(source::get, fitted)).isInfinite();
        return fitted;
    }

    private static void assertCodesKept(GroupedInt4 source) {
        Int4Matrix fitted = ScaleFit.fit(source);
        for (int row = 0; row < source.n(); row++) {
            for (int column = 0; column < source.k(); column++) {
                assertThat(fitted.code(row, column)).isEqualTo(source.steps()[row * source.k() + column] & 15);
            }
        }
    }

    private static GroupedInt4 source(RoundedLayer layer) {
        byte[] steps = new byte[layer.codes().length];
        for (int i = 0; i < steps.length; i++) {
            steps[i] = (byte) (layer.codes()[i] - 8);
        }
        return new GroupedInt4("w", layer.n(), layer.k(), steps, layer.groups(), layer.groupOf(), layer.scales());
    }

    /** Random steps with both ends in every 32 columns. */
    private static byte[] steps(int count, int lowest, int highest) {
        Random random = new Random(count + lowest);
        byte[] steps = new byte[count];
        for (int i = 0; i < count; i++) {
            steps[i] = (byte) (i % 32 == 0 ? highest : i % 32 == 1 ? lowest
                    : lowest + random.nextInt(highest - lowest + 1));
        }
        return steps;
    }

    private static Float[] boxed(float[] values) {
        Float[] boxed = new Float[values.length];
        for (int i = 0; i < values.length; i++) {
            boxed[i] = values[i];
        }
        return boxed;
    }
}
