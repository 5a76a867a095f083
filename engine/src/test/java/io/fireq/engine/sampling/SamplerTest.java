package io.fireq.engine.sampling;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.fireq.engine.api.SamplingParams;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.OptionalLong;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class SamplerTest {
    private static final float[] LOGITS = {1.0f, 3.0f, 2.0f, -1.0f, 2.5f};

    @Test
    void temperature_zero_takes_the_largest_logit_and_the_lowest_id_among_equals() {
        assertThat(sampler(SamplingParams.GREEDY).sample(LOGITS.clone())).isEqualTo(1);
        assertThat(Sampler.greedy().sample(new float[] {2, 5, 5})).isEqualTo(1);
        assertThat(sampler(params(0.8f, 1, 1, 0)).sample(new float[] {2, 5, 5})).isEqualTo(1);
        assertThat(Sampler.greedy().sample(new float[] {-0f, 0f})).isZero();
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

    /** By the definition: sort, cut, add up. */
    @Test
    void draws_what_a_full_sort_draws() {
        Random random = new Random(11);
        for (int i = 0; i < 3000; i++) {
            float[] logits = new float[1 + random.nextInt(40)];
            for (int j = 0; j < logits.length; j++) { // ties, zeros of both signs and impossible tokens among them
                float logit = (float) random.nextGaussian() * 3;
                logits[j] = i % 3 == 0 ? logit : i % 3 == 1 || random.nextBoolean() ? Math.round(logit) : -1 / 0f;
            }
            logits[random.nextInt(logits.length)] = 1;
            SamplingParams params = params(new float[] {0.1f, 1, 3, 1e30f}[random.nextInt(4)], random.nextInt(8),
                    new float[] {1, 0.9f, 0.5f, 1e-9f}[random.nextInt(4)], random.nextBoolean() ? 0 : 0.3f);
            Sampler sampler = new Sampler(params, i, new int[0], logits.length);
            assertThat(sampler.sample(logits.clone())).as("case %d: %s %s", i, params, Arrays.toString(logits))
                    .isEqualTo(sortedDraw(logits, params, i));
        }
    }

    private static int sortedDraw(float[] logits, SamplingParams params, long seed) {
        Integer[] order = IntStream.range(0, logits.length).boxed().toArray(Integer[]::new);
        Arrays.sort(order, Comparator.<Integer>comparingDouble(i -> -(double) logits[i]).thenComparing(i -> i));
        if (params.topK() == 1) {
            return order[0];
        }
        Weighting weighting = new Weighting(logits[order[0]], params.temperature());
        int nKept = params.topK() == 0 ? order.length : Math.min(params.topK(), order.length);
        if (params.topP() < 1) {
            long limit = Weighting.share(
                    Arrays.stream(order).limit(nKept).mapToLong(i -> weighting.of(logits[i])).sum(), params.topP());
            long mass = weighting.of(logits[order[0]]);
            for (nKept = 1; mass < limit; nKept++) {
                mass += weighting.of(logits[order[nKept]]);
            }
        }
        int[] kept = Arrays.stream(order).limit(nKept).mapToInt(i -> i)
                .filter(i -> weighting.of(logits[i]) >= (long) (params.minP() * 0x1p40f)).sorted().toArray();
        long target = Weighting.fraction(IntStream.of(kept).mapToLong(i -> weighting.of(logits[i])).sum(),
                SeededRandom.bits(seed, 0));
        int i = 0;
        for (long mass = weighting.of(logits[kept[0]]); mass <= target; mass += weighting.of(logits[kept[i]])) {
            i++;
        }
        return kept[i];
    }

    @Test
    void weights_are_exponentials_and_the_best_has_exactly_one() {
        Random random = new Random(5);
        for (float temperature : new float[] {Float.MIN_VALUE, 0.01f, 1, 7, Float.MAX_VALUE}) {
            assertThat(new Weighting(3, temperature).of(3)).isEqualTo(1L << 40);
            assertThat(new Weighting(3, temperature).of(Float.NEGATIVE_INFINITY)).isZero();
        }
        for (int i = 0; i < 10_000; i++) {
            float logit = -28 * random.nextFloat();
            double exact = Math.exp(logit) * 0x1p40;
            assertThat((double) new Weighting(0, 1).of(logit)).isCloseTo(exact, within(exact * 1e-5 + 1));
        }
    }

    @Test
    void draws_depend_on_the_index_and_drawing_does_not_move_it() {
        Sampler sampler = sampler(params(5, 0, 1, 0).withSeed(3));
        int first = sampler.sample(LOGITS.clone());
        assertThat(sampler.sample(LOGITS.clone())).isEqualTo(first);
        int[] next = IntStream.range(0, 20).map(i -> {
            sampler.accept(first);
            return sampler.sample(LOGITS.clone());
        }).distinct().toArray();
        assertThat(next).hasSizeGreaterThan(2);
        assertThat(sampler.index()).isEqualTo(20);
    }

    @Test
    void penalties_change_the_choice() {
        SamplingParams repetition = new SamplingParams(0, 0, 1, 0, 2f, 0, 0, OptionalLong.empty());
        assertThat(new Sampler(repetition, 0, new int[] {1}, 5).sample(LOGITS.clone()))
                .as("3.0 / 2 falls behind 2.5").isEqualTo(4);

        SamplingParams frequency = new SamplingParams(0, 0, 1, 0, 1, 0, 0.3f, OptionalLong.empty());
        Sampler sampler = new Sampler(frequency, 0, new int[] {4, 4, 4, 4}, 5);
        assertThat(draws(sampler, 4)).as("3.0, 2.7, 2.4 < 2.5, then 2.2 < 2.4 with the prompt not counted")
                .containsExactly(1, 1, 4, 1);

        SamplingParams presence = new SamplingParams(0, 0, 1, 0, 1, 0.6f, 0, OptionalLong.empty());
        Sampler once = new Sampler(presence, 0, new int[] {1}, 5);
        assertThat(draws(once, 3)).containsExactly(1, 4, 1);
        assertThat(once.nPenalties()).isEqualTo(2);
        assertThat(once.penalties()).startsWith(1, 2, 4, 1);
    }

    @Test
    void same_seed_gives_the_same_tokens_and_another_seed_others() {
        int[] first = draws(sampler(params(1, 0, 1, 0).withSeed(42)), 40);
        assertThat(draws(sampler(params(1, 0, 1, 0).withSeed(42)), 40)).isEqualTo(first);
        assertThat(draws(sampler(params(1, 0, 1, 0).withSeed(43)), 40)).isNotEqualTo(first);
    }

    @Test
    void finds_no_token_in_nonsense_and_says_why() {
        float[] notANumber = {1, Float.NaN, 2};
        float[] nothing = {Float.NEGATIVE_INFINITY, Float.NEGATIVE_INFINITY};
        for (SamplingParams params : List.of(SamplingParams.GREEDY, params(1, 2, 0.5f, 0))) {
            assertThat(sampler(params).sample(notANumber.clone())).isEqualTo(-1);
            assertThat(sampler(params).sample(nothing.clone())).isEqualTo(-1);
            assertThat(sampler(params).sample(new float[] {1, Float.POSITIVE_INFINITY})).isEqualTo(-1);
        }
        assertThat(Sampler.greedy().nonsense(notANumber)).hasMessageContaining("token 1 is NaN");
        assertThat(Sampler.greedy().nonsense(nothing)).hasMessageContaining("-Infinity");
        // A penalty can overflow, too.
        SamplingParams strong = new SamplingParams(0, 0, 1, 0, 1e-38f, 0, 0, OptionalLong.empty());
        Sampler sampler = new Sampler(strong, 0, new int[] {0}, 2);
        assertThat(sampler.sample(new float[] {9, 1})).isEqualTo(-1);
        assertThat(sampler.nonsense(new float[] {9, 1})).hasMessageContaining("largest logit is Infinity");
    }

    @Test
    void refuses_parameters_outside_their_range() {
        assertThatThrownBy(() -> params(-1, 0, 1, 0)).hasMessageContaining("temperature is -1.0");
        assertThatThrownBy(() -> params(1, 0, 0, 0)).hasMessageContaining("top-p is 0.0");
        assertThatThrownBy(() -> params(1, 0, Float.NaN, 0)).hasMessageContaining("top-p is NaN");
        assertThatThrownBy(() -> params(1, 0, 1, 1)).hasMessageContaining("min-p is 1.0");
    }

    private static int[] draws(Sampler sampler, int n) {
        return IntStream.range(0, n).map(i -> {
            int token = sampler.sample(LOGITS.clone());
            sampler.accept(token);
            return token;
        }).toArray();
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
            int token = sampler.sample(logits.clone());
            sampler.accept(token);
            frequencies[token] += 1.0 / n;
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
