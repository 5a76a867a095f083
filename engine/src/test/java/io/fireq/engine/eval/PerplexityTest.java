package io.fireq.engine.eval;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.fireq.engine.FireqEngines;
import io.fireq.engine.api.EngineOptions;
import io.fireq.engine.api.Numerics;
import io.fireq.engine.runtime.LoadedModel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;

/** Perplexity of Ember on wikitext-2, first 24 windows of 1024, as {@code docs/accuracy/} records it. */
class PerplexityTest {
    private static final Path SHARED = Path.of("../../shared");
    private static final Path EMBER = SHARED.resolve("models/ember-29m");
    /** Ember as the default profile quantizes it; the examples' tests make it again, byte for byte. */
    private static final Path DEMO = Path.of("../examples/src/main/resources/models/ember");
    private static final Path WIKITEXT = SHARED.resolve("corpora/wikitext2-test.txt");

    @Test
    void float32_mode_has_the_perplexity_of_hugging_face_transformers() throws IOException {
        try (LoadedModel original = original()) {
            assertThat(evaluate(original, null).perplexity()).isCloseTo(79.07, within(0.05));
        }
    }

    @Test
    void the_default_profile_is_as_near_to_the_original_as_recorded() throws IOException {
        try (LoadedModel original = original();
                LoadedModel quantized = FireqEngines.load(options(DEMO).numerics(Numerics.QUANTIZED).build())) {
            Perplexity.Result result = evaluate(quantized, original);
            // The order of sums alone moves perplexity by one or two percent, as flipped roundings spread; divergence
            // is the steadier measure: see the accuracy note.
            assertThat(result.perplexity()).isBetween(76.0, 82.0);
            assertThat(result.divergence()).isLessThan(0.155);
            assertThat(result.agreement()).isGreaterThan(0.76);
        }
    }

    @Test
    void refuses_windows_that_do_not_fit() {
        EngineOptions options = EngineOptions.builder("src/test/resources/models/stories260K")
                .numerics(Numerics.FLOAT32).device(EngineOptions.Device.CPU).build();
        try (LoadedModel stories = FireqEngines.load(options)) {
            assertThatThrownBy(() -> new Perplexity(stories, 513)).hasMessageContaining("513")
                    .hasMessageContaining("512");
            assertThatThrownBy(() -> new Perplexity(stories, 64).evaluate(new int[63], 0, (soFar, total) -> {}))
                    .hasMessageContaining("63 tokens");
        }
    }

    private static LoadedModel original() {
        boolean present = Files.isDirectory(EMBER) && Files.isRegularFile(WIKITEXT);
        if (!present) {
            System.out.println("Skipped: needs " + EMBER + " and " + WIKITEXT);
        }
        Assumptions.assumeTrue(present, "no Ember checkpoint or corpus beside the repository");
        return FireqEngines.load(options(EMBER).numerics(Numerics.FLOAT32).build());
    }

    private static EngineOptions.Builder options(Path model) {
        return EngineOptions.builder(model.toString()).device(EngineOptions.Device.CPU).maxModelLen(1024)
                .kvCacheTokens(1024).maxBatchTokens(256);
    }

    private static Perplexity.Result evaluate(LoadedModel loaded, LoadedModel reference) throws IOException {
        Perplexity.Result result = new Perplexity(loaded, reference, 1024)
                .evaluate(loaded.encodePrompt(Files.readString(WIKITEXT)), 24, (soFar, total) -> {});
        System.out.printf("Ember, %s: %s%n", loaded.info().quantization(), result);
        assertThat(result.scoredTokens()).isEqualTo(24 * 1023);
        return result;
    }
}
