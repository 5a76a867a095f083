package io.fireq.kernels.sampling;

import static org.assertj.core.api.Assertions.assertThat;

import io.fireq.kernels.sampling.SampleRowsOracle.Penalty;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class SampleRowsOracleTest {
    /** Weights e⁰, e⁻¹, e⁻², e⁰ at temperature 1. */
    private static final float[] LOGITS = {3, 2, 1, 3};

    @Test
    void weights_are_the_exponential_in_units_of_2_to_the_minus_40() {
        assertThat(SampleRowsOracle.weight(-7, -7, 0.3f)).isEqualTo(1L << 40);
        assertThat(SampleRowsOracle.weight(1, 1, Float.MIN_VALUE)).isEqualTo(1L << 40);
        assertThat(SampleRowsOracle.weight(Float.NEGATIVE_INFINITY, 1, Float.MAX_VALUE)).isZero();
        Random random = new Random(3);
        for (int i = 0; i < 100_000; i++) {
            float logit = -30 * random.nextFloat();
            float temperature = 0.1f + 3 * random.nextFloat();
            double exact = Math.exp(logit / (double) temperature) * 0x1p40;
            // The argument is rounded to float32, then the polynomial; then the fraction is dropped.
            double bound = exact * (3e-7 - logit / temperature * 0x1p-22) + 1;
            assertThat(Math.abs(SampleRowsOracle.weight(logit, 0, temperature) - exact)).as("%s / %s", logit, temperature)
                    .isLessThanOrEqualTo(bound);
        }
    }

    @Test
    void keeps_what_the_filters_say() {
        assertThat(drawn(0, 1, 0)).as("everything").isEqualTo(0b1111);
        assertThat(drawn(2, 1, 0)).as("the two best").isEqualTo(0b1001);
        assertThat(drawn(3, 1, 0)).isEqualTo(0b1011);
        assertThat(drawn(0, 0.3f, 0)).as("the first of the two best has 0.4").isEqualTo(0b0001);
        assertThat(drawn(0, 0.79f, 0)).as("the two best have 0.799 of the weight").isEqualTo(0b1001);
        assertThat(drawn(0, 0.81f, 0)).isEqualTo(0b1011);
        assertThat(drawn(3, 0.83f, 0)).as("and 0.845 of the best three's").isEqualTo(0b1001);
        assertThat(drawn(0, 1, 0.2f)).as("e⁻² is 0.135").isEqualTo(0b1011);
        assertThat(drawn(0, 1e-9f, 0)).as("never nothing").isEqualTo(0b0001);
    }

    private static int drawn(int topK, float topP, float minP) {
        return IntStream.range(0, 2000).map(i -> 1 << SampleRowsOracle.sample(LOGITS,
                new SamplingRow(5, i, 1, topK, topP, minP, 1, 0, 0, 0, 0), List.of())).reduce(0, (a, b) -> a | b);
    }

    @Test
    void penalizes_then_takes_the_first_of_the_best() {
        SamplingRow greedy = new SamplingRow(0, 0, 0, 0, 1, 0, 2, 0.5f, 0.25f, 0, 0);
        assertThat(SampleRowsOracle.sample(LOGITS, greedy, List.of())).isZero();
        assertThat(SampleRowsOracle.sample(LOGITS, greedy, List.of(new Penalty(0, 0)))).as("3 / 2").isEqualTo(3);
        float[] negative = {-1, -2.2f};
        assertThat(SampleRowsOracle.sample(negative, greedy, List.of(new Penalty(0, 0)))).as("-1 · 2").isZero();
        assertThat(SampleRowsOracle.sample(negative, greedy, List.of(new Penalty(0, 1)))).as("-2 - 0.5 - 0.25").isOne();
    }

    @Test
    void random_bits_are_the_generator_of_the_JDK_seeded_with_mixed_bits() {
        // SplittableRandom walks the same counter with the same finalizer.
        java.util.SplittableRandom reference = new java.util.SplittableRandom(0);
        long mixedZero = 0; // the finalizer maps 0 to 0
        for (int i = 0; i < 5; i++) {
            assertThat(SampleRowsOracle.randomBits(mixedZero, i)).isEqualTo(reference.nextLong());
        }
    }
}
