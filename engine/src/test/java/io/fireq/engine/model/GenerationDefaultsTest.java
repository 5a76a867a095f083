package io.fireq.engine.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import io.fireq.engine.api.ModelFormatException;
import io.fireq.engine.api.SamplingParams;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class GenerationDefaultsTest {
    @TempDir
    private Path directory;

    @Test
    void reads_every_recommendation() {
        GenerationDefaults defaults = read("""
                {"do_sample": true, "temperature": 0.6, "top_p": 0.9, "top_k": 40, "min_p": 0.05,
                 "repetition_penalty": 1.1, "eos_token_id": [7, 9], "max_length": 4096}""");
        assertThat(defaults.sampling()).hasValue(
                new SamplingParams(0.6f, 40, 0.9f, 0.05f, 1.1f, 0, 0, OptionalLong.empty()));
        assertThat(defaults.eosIds()).containsExactly(7, 9);
        assertThat(defaults).isEqualTo(new GenerationDefaults(defaults.sampling(), new int[] {7, 9}));
    }

    @Test
    void without_sampling_the_recommendation_is_greedy() throws URISyntaxException {
        Path stories = Path.of(GenerationDefaultsTest.class.getResource("/models/stories260K").toURI());
        GenerationDefaults defaults = GenerationDefaults.read(stories);
        assertThat(defaults.sampling()).hasValue(SamplingParams.GREEDY);
        assertThat(defaults.eosIds()).containsExactly(1, 2);
        assertThat(read("{\"do_sample\": false, \"temperature\": 0.7, \"top_k\": 5}").sampling())
                .hasValue(SamplingParams.GREEDY);
    }

    @Test
    void a_temperature_alone_means_to_sample() {
        assertThat(read("{\"temperature\": 0.7}").sampling()).hasValue(SamplingParams.GREEDY.withTemperature(0.7f));
        assertThat(read("{\"do_sample\": true}").sampling()).hasValue(SamplingParams.GREEDY.withTemperature(1));
        assertThat(read("{\"top_k\": -1}").sampling()).hasValue(SamplingParams.GREEDY.withTemperature(1));
    }

    @Test
    void silence_recommends_nothing() {
        assertThat(read("{\"eos_token_id\": 3}").sampling()).isEmpty();
        assertThat(read("{\"eos_token_id\": 3}").eosIds()).containsExactly(3);
        assertThat(GenerationDefaults.read(directory.resolve("absent")))
                .isEqualTo(read("{}")).hasSameHashCodeAs(read("{}"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"\"temperature\": -1", "\"temperature\": \"hot\"", "\"temperature\": 1e999", "\"top_p\": 0",
        "\"top_p\": 1.1", "\"top_k\": -2", "\"top_k\": 1.5", "\"min_p\": 1", "\"min_p\": 0.999999999",
        "\"repetition_penalty\": 0", "\"do_sample\": \"yes\"", "\"eos_token_id\": [-1]"})
    void values_out_of_range_are_refused(String entry) {
        String sampled = entry.startsWith("\"do_sample") ? entry : "\"do_sample\": true, " + entry;
        assertThatExceptionOfType(ModelFormatException.class).isThrownBy(() -> read("{" + sampled + "}"))
                .withMessageContaining("generation_config.json at byte");
    }

    private GenerationDefaults read(String json) {
        try {
            Files.writeString(directory.resolve("generation_config.json"), json);
            return GenerationDefaults.read(directory);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
