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
    private static final Path WIKITEXT = SHARED.resolve("corpora/wikitext2-test.txt");

    @Test
    void float32_mode_has_the_perplexity_of_hugging_face_transformers() throws IOException {
        assertThat(evaluate(Numerics.FLOAT32)).isCloseTo(79.07, within(0.05));
    }

    @Test
    void the_default_profile_has_the_recorded_perplexity() throws IOException {
        // The order of sums alone moves it by half a percent, as flipped roundings spread: see the accuracy note.
        assertThat(evaluate(Numerics.QUANTIZED)).isCloseTo(79.5, within(1.5));
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

    private static double evaluate(Numerics numerics) throws IOException {
        boolean present = Files.isDirectory(EMBER) && Files.isRegularFile(WIKITEXT);
        if (!present) {
            System.out.println("Skipped: needs " + EMBER + " and " + WIKITEXT);
        }
        Assumptions.assumeTrue(present, "no Ember checkpoint or corpus beside the repository");
        EngineOptions options = EngineOptions.builder(EMBER.toString()).numerics(numerics)
                .device(EngineOptions.Device.CPU).cacheDir(Path.of("target/test-model-cache")).maxBatchTokens(256)
                .build();
        try (LoadedModel loaded = FireqEngines.load(options)) {
            Perplexity.Result result = new Perplexity(loaded, 1024)
                    .evaluate(loaded.encodePrompt(Files.readString(WIKITEXT)), 24, (soFar, total) -> {});
            System.out.printf("Ember, %s: perplexity %.4f over %d windows%n", loaded.info().quantization(),
                    result.perplexity(), result.windows());
            assertThat(result.scoredTokens()).isEqualTo(24 * 1023);
            return result.perplexity();
        }
    }
}
