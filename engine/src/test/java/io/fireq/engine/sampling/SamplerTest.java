package io.fireq.engine.sampling;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.fireq.engine.api.SamplingParams;
import java.util.Arrays;
import java.util.OptionalLong;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class SamplerTest {
    private static final float[] LOGITS = {1.0f, 3.0f, 2.0f, -1.0f, 2.5f};

    @Test
    void temperature_zero_takes_the_largest_logit_and_the_lowest_id_among_equals() {
        assertThat(sampler(SamplingParams.GREEDY).sample(LOGITS.clone(), 0)).isEqualTo(1);
        assertThat(sampler(SamplingParams.GREEDY).sample(new float[] {2, 5, 5}, 0)).isEqualTo(1);
    }

    @Test
    void is_greedy_where_only_the_largest_logit_counts() {
        assertThat(sampler(SamplingParams.GREEDY).isGreedy()).isTrue();
        assertThat(sampler(params(0.8f, 1, 1, 0)).isGreedy()).isTrue();
        assertThat(sampler(params(0.8f, 2, 1, 0)).isGreedy()).isFalse();
        assertThat(sampler(new SamplingParams(0, 0, 1, 0, 1.1f, 0, 0, OptionalLong.empty())).isGreedy()).isFalse();
    }

    @Test
    void draws_follow_the_softmax() {
        double[] expected = softmax(LOGITS, 0.8);
        assertThat(frequencies(params(0.8f, 0, 1, 0), LOGITS)).satisfies(close(expected));
    }

    @Test
    void top_k_keeps_the_k_most_likely() {
        double[] expected = renormalized(softmax(LOGITS, 1), 1, 4);
        assertThat(frequencies(params(1, 2, 1, 0), LOGITS)).satisfies(close(expected));
    }

    @Test
    void top_p_keeps_the_shortest_prefix_that_reaches_the_mass() {
        // softmax of LOGITS: .065 .482 .177 .009 .292 within rounding; .482 + .292 < .8 <= .482 + .292 + .177
        double[] expected = renormalized(softmax(LOGITS, 1), 1, 4, 2);
        assertThat(frequencies(params(1, 0, 0.8f, 0), LOGITS)).satisfies(close(expected));
        assertThat(frequencies(params(1, 0, 0.001f, 0), LOGITS)[1]).isEqualTo(1);
    }

    @Test
    void top_p_counts_within_what_top_k_keeps() {
        // Within {1, 4} token 1 has .62 of the mass, so .6 is reached by it alone.
        assertThat(frequencies(params(1, 2, 0.6f, 0), LOGITS)[1]).isEqualTo(1);
    }

    @Test
    void min_p_drops_tokens_far_below_the_best() {
        double[] expected = renormalized(softmax(LOGITS, 1), 1, 4); // e^-0.5 = .61, e^-1 = .37
        assertThat(frequencies(params(1, 0, 1, 0.5f), LOGITS)).satisfies(close(expected));
    }

    @Test
    void lazily_sorted_nucleus_equals_a_full_sort() {
        Random random = new Random(11);
        float[] logits = new float[1013];
        for (int i = 0; i < logits.length; i++) {
            logits[i] = (float) random.nextGaussian() * 2;
        }
        Integer[] order = IntStream.range(0, logits.length).boxed().toArray(Integer[]::new);
        Arrays.sort(order, (a, b) -> Float.compare(logits[b], logits[a]));
        double[] probabilities = softmax(logits, 1);
        int nKept = 0;
        for (double mass = 0; mass < 0.9; nKept++) {
            mass += probabilities[order[nKept]];
        }
        boolean[] seen = new boolean[logits.length];
        for (int i = 0; i < 20_000; i++) {
            seen[sampler(params(1, 0, 0.9f, 0).withSeed(5)).sample(logits.clone(), i)] = true;
        }
        for (int rank = nKept; rank < order.length; rank++) {
            assertThat(seen[order[rank]]).as("rank %d of %d kept", rank, nKept).isFalse();
        }
        assertThat(seen[order[0]]).isTrue();
    }

    @Test
    void penalties_change_the_choice() {
        SamplingParams repetition = new SamplingParams(0, 0, 1, 0, 2f, 0, 0, OptionalLong.empty());
        assertThat(new Sampler(repetition, 0, new int[] {1}, 5).sample(LOGITS.clone(), 0))
                .as("3.0 / 2 falls behind 2.5").isEqualTo(4);

        SamplingParams frequency = new SamplingParams(0, 0, 1, 0, 1, 0, 0.3f, OptionalLong.empty());
        Sampler sampler = new Sampler(frequency, 0, new int[] {4, 4, 4, 4}, 5);
        int[] drawn = IntStream.range(0, 4).map(i -> sampler.sample(LOGITS.clone(), i)).toArray();
        assertThat(drawn).as("3.0, 2.7, 2.4 < 2.5, then 2.2 < 2.4 with the prompt not counted")
                .containsExactly(1, 1, 4, 1);

        SamplingParams presence = new SamplingParams(0, 0, 1, 0, 1, 0.6f, 0, OptionalLong.empty());
        Sampler once = new Sampler(presence, 0, new int[] {1}, 5);
        assertThat(IntStream.range(0, 3).map(i -> once.sample(LOGITS.clone(), i)).toArray()).containsExactly(1, 4, 1);
    }

    @Test
    void same_seed_gives_the_same_tokens_and_another_seed_others() {
        int[] first = draws(params(1, 0, 1, 0).withSeed(42));
        assertThat(draws(params(1, 0, 1, 0).withSeed(42))).isEqualTo(first);
        assertThat(draws(params(1, 0, 1, 0).withSeed(43))).isNotEqualTo(first);
    }

    @Test
    void refuses_logits_that_are_not_numbers() {
        assertThatThrownBy(() -> sampler(SamplingParams.GREEDY).sample(new float[] {1, Float.NaN, 2}, 0))
                .hasMessageContaining("token 1 is NaN");
        float[] nothing = {Float.NEGATIVE_INFINITY, Float.NEGATIVE_INFINITY};
        assertThatThrownBy(() -> sampler(SamplingParams.GREEDY).sample(nothing, 0))
                .isInstanceOf(IllegalStateException.class);
    }

    @Test
    void refuses_parameters_outside_their_range() {
        assertThatThrownBy(() -> params(-1, 0, 1, 0)).hasMessageContaining("temperature is -1.0");
        assertThatThrownBy(() -> params(1, 0, 0, 0)).hasMessageContaining("top-p is 0.0");
        assertThatThrownBy(() -> params(1, 0, Float.NaN, 0)).hasMessageContaining("top-p is NaN");
        assertThatThrownBy(() -> params(1, 0, 1, 1)).hasMessageContaining("min-p is 1.0");
    }

    private static int[] draws(SamplingParams params) {
        Sampler sampler = sampler(params);
        return IntStream.range(0, 40).map(i -> sampler.sample(LOGITS.clone(), i)).toArray();
    }

    private static Sampler sampler(SamplingParams params) {
        return new Sampler(params, 7, new int[0], 5);
    }

    private static SamplingParams params(float temperature, int topK, float topP, float minP) {
        return new SamplingParams(temperature, topK, topP, minP, 1, 0, 0, OptionalLong.empty());
    }

    private static double[] frequencies(SamplingParams params, float[] logits) {
        int n = 40_000;
        double[] frequencies = new double[logits.length];
        Sampler sampler = sampler(params);
        for (int i = 0; i < n; i++) {
            frequencies[sampler.sample(logits.clone(), i)] += 1.0 / n;
        }
        for (int i = 0; i < logits.length; i++) {
            frequencies[i] = Math.round(frequencies[i] * 1e9) / 1e9;
        }
        return frequencies;
    }

    private static java.util.function.Consumer<double[]> close(double[] expected) {
        return actual -> {
            for (int i = 0; i < expected.length; i++) {
                // five standard deviations of 40,000 draws are below .0125
                assertThat(actual[i]).as("token %d", i).isCloseTo(expected[i], within(expected[i] == 0 ? 0 : 0.0125));
            }
        };
    }

    private static double[] softmax(float[] logits, double temperature) {
        double[] p = new double[logits.length];
        double total = 0;
        for (int i = 0; i < p.length; i++) {
            total += p[i] = Math.exp(logits[i] / temperature);
        }
        for (int i = 0; i < p.length; i++) {
            p[i] /= total;
        }
        return p;
    }

    private static double[] renormalized(double[] probabilities, int... kept) {
        double mass = Arrays.stream(kept).mapToDouble(i -> probabilities[i]).sum();
        double[] p = new double[probabilities.length];
        for (int i : kept) {
            p[i] = probabilities[i] / mass;
        }
        return p;
    }
}
