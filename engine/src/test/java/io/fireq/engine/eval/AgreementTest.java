package io.fireq.engine.eval;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import io.fireq.engine.FireqEngines;
import io.fireq.engine.api.EngineOptions;
import io.fireq.engine.api.Numerics;
import io.fireq.engine.runtime.LoadedModel;
import io.fireq.engine.tokenizer.TestModels;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** How far a model is from its original. */
class AgreementTest {
    private static final Path STORIES = TestModels.stories260k();
    private static final JsonNode GOLDEN = TestModels.json(STORIES.resolve("golden_greedy.json"));

    @TempDir
    Path cache;

    @Test
    void divergence_by_hand() {
        // p = (1/2, 1/4, 1/4), q = (1/4, 1/4, 1/2): 1/2·ln 2 + 0 − 1/4·ln 2
        float ln2 = (float) Math.log(2);
        float[] p = {5 + ln2, 5, 5};
        float[] q = {-3, -3, -3 + ln2};
        assertThat(LogProbabilities.divergence(p, q)).isCloseTo(Math.log(2) / 4, within(1e-6));
        assertThat(LogProbabilities.divergence(p, p)).isZero();
        assertThat(LogProbabilities.logSumExp(new float[] {1000, 1000})).isCloseTo(1000 + Math.log(2), within(1e-9));
        assertThat(LogProbabilities.mostLikely(new float[] {1, 3, 3, 2})).isEqualTo(1);
    }

    @Test
    void a_model_agrees_with_itself() {
        try (LoadedModel one = load(Numerics.FLOAT32, 64);
                LoadedModel other = load(Numerics.FLOAT32, 7)) { // in other chunks
            int[] tokens = one.encodePrompt(GOLDEN.get(0).get("prompt").asText() + " there was a big red ball.");
            Perplexity.Result alone = new Perplexity(one, 8).evaluate(tokens, 0, (soFar, total) -> {});
            Perplexity.Result compared = new Perplexity(one, other, 8).evaluate(tokens, 0, (soFar, total) -> {});
            assertThat(compared.perplexity()).isCloseTo(alone.perplexity(), within(1e-3));
            assertThat(compared.divergence()).isCloseTo(0, within(1e-6));
            assertThat(compared.agreement()).isEqualTo(1);
            assertThat(compared.windows()).isEqualTo(tokens.length / 8);
            assertThat(compared.scoredTokens()).isEqualTo(7L * compared.windows());
            assertThat(alone.divergence()).isNaN();
            assertThat(alone.agreement()).isNaN();

            GreedyAgreement agreement = new GreedyAgreement(one, other, 40);
            for (JsonNode golden : GOLDEN) {
                GreedyAgreement.Result result = agreement.compare(TestModels.ints(golden.get("prompt_ids")));
                assertThat(result.isSame()).isTrue();
                assertThat(result.tokens()).isBetween(1, 40);
            }
        }
    }

    @Test
    void greedy_agreement_follows_the_reference_s_own_continuation() {
        try (LoadedModel reference = load(Numerics.FLOAT32, 64)) {
            int[] prompt = TestModels.ints(GOLDEN.get(0).get("prompt_ids"));
            int[] greedy = TestModels.ints(GOLDEN.get(0).get("greedy_ids"));
            // Along prompt + 5 golden tokens the rest of the golden continuation follows: one token fewer each time.
            for (int given : new int[] {0, 5}) {
                int[] longer = Arrays.copyOf(prompt, prompt.length + given);
                System.arraycopy(greedy, 0, longer, prompt.length, given);
                assertThat(new GreedyAgreement(reference, reference, 12).compare(longer))
                        .isEqualTo(new GreedyAgreement.Result(12, 12));
            }
            int[] full = Arrays.copyOf(prompt, reference.info().maxModelLen() - 3);
            Arrays.fill(full, prompt.length, full.length, greedy[0]);
            assertThat(new GreedyAgreement(reference, reference, 40).compare(full).tokens())
                    .as("no more than the context holds").isLessThanOrEqualTo(3);
        }
    }

    @Test
    void a_quantized_model_is_near_and_not_the_same() {
        try (LoadedModel quantized = load(Numerics.QUANTIZED, 64);
                LoadedModel reference = load(Numerics.FLOAT32, 64)) {
            int[] tokens = reference.encodePrompt("Once upon a time, there was a little girl named Lily. She loved to "
                    + "play outside in the park with her big dog. One day they saw a bird in a tree.");
            Perplexity.Result result = new Perplexity(quantized, reference, 20).evaluate(tokens, 0, (s, t) -> {});
            assertThat(result.divergence()).isBetween(1e-4, 0.5);
            assertThat(result.agreement()).isBetween(0.5, 1.0);
            int same = 0;
            int agreeing = 0;
            int all = 0;
            for (JsonNode golden : GOLDEN) {
                GreedyAgreement.Result one = new GreedyAgreement(quantized, reference, 60)
                        .compare(TestModels.ints(golden.get("prompt_ids")));
                same += one.isSame() ? 1 : 0;
                agreeing += one.agreeing();
                all += one.tokens();
            }
            assertThat(same).isLessThan(GOLDEN.size());
            assertThat((double) agreeing / all).isBetween(0.6, 1.0);
        }
    }

    @Test
    void refuses_windows_that_do_not_fit() {
        try (LoadedModel stories = load(Numerics.FLOAT32, 64)) {
            assertThatThrownBy(() -> new Perplexity(stories, 1)).hasMessageContaining("a window of 1 tokens");
            assertThatThrownBy(() -> new Perplexity(stories, stories, 129)).hasMessageContaining("2 to 128");
        }
    }

    private LoadedModel load(Numerics numerics, int maxBatchTokens) {
        return FireqEngines.load(EngineOptions.builder(STORIES.toString()).numerics(numerics).threads(1)
                .device(EngineOptions.Device.CPU).cacheDir(cache).maxModelLen(128).kvCacheTokens(128)
                .maxBatchTokens(maxBatchTokens).build());
    }
}
