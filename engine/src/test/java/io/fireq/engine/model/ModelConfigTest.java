package io.fireq.engine.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.fail;
import static org.assertj.core.api.Assertions.within;

import io.fireq.engine.api.FireqException;
import io.fireq.engine.api.ModelFormatException;
import io.fireq.engine.api.ModelNotFoundException;
import io.fireq.engine.api.UnsupportedModelException;
import io.fireq.engine.json.Mutations;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URISyntaxException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.OptionalInt;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ModelConfigTest {
    private static final String LLAMA_3_2_1B = """
            {"architectures": ["LlamaForCausalLM"], "attention_bias": false, "attention_dropout": 0.0,
             "bos_token_id": 128000, "eos_token_id": [128001, 128008, 128009], "head_dim": 64, "hidden_act": "silu",
             "hidden_size": 2048, "intermediate_size": 8192, "max_position_embeddings": 131072, "mlp_bias": false,
             "model_type": "llama", "num_attention_heads": 32, "num_hidden_layers": 16, "num_key_value_heads": 8,
             "pretraining_tp": 1, "rms_norm_eps": 1e-05, "rope_scaling": {"factor": 32.0, "high_freq_factor": 4.0,
             "low_freq_factor": 1.0, "original_max_position_embeddings": 8192, "rope_type": "llama3"},
             "rope_theta": 500000.0, "tie_word_embeddings": true, "vocab_size": 128256}""";
    private static final String MINIMAL = """
            {"architectures": ["LlamaForCausalLM"], "hidden_size": 60, "intermediate_size": 7, "num_hidden_layers": 3,
             "num_attention_heads": 6, "vocab_size": 11, "max_position_embeddings": 13}""";

    @TempDir
    private Path directory;

    @Test
    void reads_the_older_spelling_of_rope() {
        ModelConfig config = read(LLAMA_3_2_1B);
        assertThat(config).isEqualTo(new ModelConfig("LlamaForCausalLM", 2048, 8192, 16, 32, 8, 64, 128_256, 131_072,
                1e-5f, 500_000, new RopeScaling.Llama3(32, 1, 4, 8192), true, OptionalInt.of(128_000),
                new int[] {128_001, 128_008, 128_009}));
    }

    @Test
    void reads_the_newer_spelling_of_rope() {
        String newer = LLAMA_3_2_1B.replace("\"rope_theta\": 500000.0,", "")
                .replace("\"rope_scaling\": {", "\"rope_parameters\": {\"rope_theta\": 500000.0, ");
        assertThat(read(newer)).isEqualTo(read(LLAMA_3_2_1B)).hasSameHashCodeAs(read(LLAMA_3_2_1B));
    }

    @Test
    void reads_a_real_config() throws URISyntaxException {
        Path stories = Path.of(ModelConfigTest.class.getResource("/models/stories260K").toURI());
        assertThat(ModelConfig.read(stories)).isEqualTo(new ModelConfig("LlamaForCausalLM", 64, 172, 5, 8, 4, 8, 512,
                512, 1e-5f, 10_000, new RopeScaling.None(), true, OptionalInt.of(1), new int[] {2}));
    }

    @Test
    void absent_values_have_the_defaults_of_hugging_face() {
        assertThat(read(MINIMAL)).isEqualTo(new ModelConfig("LlamaForCausalLM", 60, 7, 3, 6, 6, 10, 11, 13, 1e-6f,
                10_000, new RopeScaling.None(), false, OptionalInt.empty(), new int[0]));
        assertThat(read(MINIMAL.replace("\"architectures\": [\"LlamaForCausalLM\"]", "\"model_type\": \"llama\"")))
                .isEqualTo(read(MINIMAL));
    }

    @Test
    void head_dim_may_differ_from_hidden_size_over_heads() {
        ModelConfig config = read(with(MINIMAL, "\"head_dim\": 16, \"num_key_value_heads\": 2"));
        assertThat(config.headDim()).isEqualTo(16);
        assertThat(config.nKvHeads()).isEqualTo(2);
    }

    @Test
    void unscaled_rope_frequencies_are_powers_of_theta() {
        ModelConfig config = read(with(MINIMAL, "\"head_dim\": 8, \"rope_theta\": 10000"));
        assertThat(config.ropeInverseFrequencies()).containsExactly(new float[] {1, 0.1f, 0.01f, 0.001f}, within(1e-9f));
        ModelConfig linear = read(with(MINIMAL,
                "\"head_dim\": 8, \"rope_scaling\": {\"type\": \"linear\", \"factor\": 4}"));
        assertThat(linear.ropeScaling()).isEqualTo(new RopeScaling.Linear(4));
        assertThat(linear.ropeInverseFrequencies())
                .containsExactly(new float[] {0.25f, 0.025f, 0.0025f, 0.00025f}, within(1e-9f));
    }

    /**
     * Theta 500000, 32 pairs, factor 32, original context 8192, factors 1 and 4, by hand: pair 0 turns by 1; pair 14
     * has wavelength 2π·500000^(14/32) = 1956.5 < 2048 and stays; pair 15 has 2948.3, between 2048 and 8192, and
     * s = (8192/2948.3 - 1)/3 = 0.59285 of it stays; pair 17 has 6695.1 and s = 0.07453; pair 18 has 10090 > 8192 and
     * is divided by 32.
     */
    @Test
    void llama3_rope_frequencies_match_numbers_done_by_hand() {
        float[] frequencies = read(LLAMA_3_2_1B).ropeInverseFrequencies();
        assertThat(frequencies).hasSize(32);
        assertThat(frequencies[0]).isEqualTo(1);
        assertThat(frequencies[14]).isCloseTo(0.0032114460f, within(1e-9f));
        assertThat(frequencies[15]).isCloseTo(0.0012905479f, within(1e-9f));
        assertThat(frequencies[17]).isCloseTo(9.7082878e-5f, within(1e-11f));
        assertThat(frequencies[18]).isCloseTo(1.9461638e-5f, within(1e-11f));
        assertThat(frequencies[31]).isCloseTo(9.4183067e-8f, within(1e-14f));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {
        "\"architectures\": [\"LlamaForCausalLM\"] | \"architectures\": [\"GemmaForCausalLM\"] | GemmaForCausalLM",
        "\"attention_bias\": false | \"attention_bias\": true | attention_bias is true",
        "\"mlp_bias\": false | \"mlp_bias\": true | mlp_bias is true",
        "\"hidden_act\": \"silu\" | \"hidden_act\": \"gelu\" | hidden_act is gelu; supported: silu, swish",
        "\"rope_type\": \"llama3\" | \"rope_type\": \"yarn\" | rope_type is yarn; supported: default, linear, llama3",
        "\"rope_type\": | \"partial_rotary_factor\": 0.5, \"rope_type\": | partial_rotary_factor"})
    void models_it_does_not_run_are_refused_by_name(String from, String to, String problem) {
        assertThatExceptionOfType(UnsupportedModelException.class).isThrownBy(() -> read(replaced(from, to)))
                .withMessageContaining(problem).withMessageContaining("config.json");
    }

    @Test
    void an_unsupported_architecture_is_told_the_supported_ones() {
        assertThatExceptionOfType(UnsupportedModelException.class)
                .isThrownBy(() -> read(MINIMAL.replace("LlamaFor", "GemmaFor")))
                .withMessageContaining("supported: LlamaForCausalLM");
        assertThatExceptionOfType(UnsupportedModelException.class)
                .isThrownBy(() -> read(MINIMAL.replace("\"architectures\": [\"LlamaForCausalLM\"]",
                        "\"model_type\": \"bert\"")))
                .withMessageContaining("model_type is bert").withMessageContaining("supported: LlamaForCausalLM");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {
        "\"hidden_size\": 2048 | \"hidden_size\": 0 | 'hidden_size' is 0",
        "\"hidden_size\": 2048, | | 'hidden_size' is missing",
        "\"hidden_size\": 2048 | \"hidden_size\": 2000000000 | 'hidden_size' is 2000000000",
        "\"hidden_size\": 2048 | \"hidden_size\": \"2048\" | 'hidden_size' is \"2048\"",
        "\"intermediate_size\": 8192 | \"intermediate_size\": -1 | 'intermediate_size' is -1",
        "\"num_hidden_layers\": 16 | \"num_hidden_layers\": 1e9 | 'num_hidden_layers' is 1.0E9",
        "\"num_attention_heads\": 32 | \"num_attention_heads\": 0 | 'num_attention_heads' is 0",
        "\"num_key_value_heads\": 8 | \"num_key_value_heads\": 7 | required is a divisor of num_attention_heads, 32",
        "\"num_key_value_heads\": 8 | \"num_key_value_heads\": 64 | 'num_key_value_heads' is 64",
        "\"head_dim\": 64 | \"head_dim\": 63 | required is an even integer",
        "\"head_dim\": 64, | \"head_dim\": 0, | 'head_dim' is 0",
        "\"head_dim\": 64, \"hidden_act\": \"silu\", \"hidden_size\": 2048 | \"hidden_size\": 2047 | "
                + "required without a head_dim is a divisor of hidden_size, 2047",
        "\"vocab_size\": 128256 | \"vocab_size\": 0 | 'vocab_size' is 0",
        "\"vocab_size\": 128256 | \"vocab_size\": 128000 | 'bos_token_id' is 128000",
        "128008, 128009] | -1] | 'eos_token_id' is -1",
        "[128001, 128008, 128009] | \"stop\" | 'eos_token_id' is \"stop\"",
        "\"rms_norm_eps\": 1e-05 | \"rms_norm_eps\": 0 | 'rms_norm_eps' is 0",
        "\"rope_theta\": 500000.0 | \"rope_theta\": 0 | 'rope_theta' is 0",
        "\"factor\": 32.0 | \"factor\": 0 | 'rope_scaling.factor' is 0",
        "\"factor\": 32.0, | | 'rope_scaling.factor' is missing",
        "\"low_freq_factor\": 1.0 | \"low_freq_factor\": 4.0 | required is more than low_freq_factor",
        "\"mlp_bias\": false | \"mlp_bias\": 0 | 'mlp_bias' is 0",
        "\"rope_theta\" | \"rope_theta | JSON cannot be read"})
    void malformed_and_absurd_values_are_refused(String from, String to, String problem) {
        assertThatExceptionOfType(ModelFormatException.class).isThrownBy(() -> read(replaced(from, to)))
                .withMessageContaining(problem).withMessageContaining("config.json at byte");
    }

    @Test
    void a_directory_without_config_is_named() {
        assertThatExceptionOfType(ModelNotFoundException.class).isThrownBy(() -> ModelConfig.read(directory))
                .withMessageContaining("config.json").withMessageContaining(directory.toString());
    }

    @Test
    @Timeout(300) // against a hang; a run takes seconds
    void mutated_files_are_read_or_refused() throws IOException {
        long seed = 20_254;
        int rounds = 3000;
        Random random = new Random(seed);
        byte[] original = LLAMA_3_2_1B.getBytes(StandardCharsets.UTF_8);
        int read = 0;
        for (int round = 0; round < rounds; round++) {
            byte[] mutant = Mutations.of(original, random);
            Path config = directory.resolve("config.json");
            Files.deleteIfExists(config);
            Files.write(config, mutant);
            try {
                for (float frequency : ModelConfig.read(directory).ropeInverseFrequencies()) {
                    assertThat(frequency).isBetween(0f, 1f);
                }
                read++;
            } catch (FireqException e) {
                assertThat(e.getMessage()).as("a remedy").contains("; ");
            } catch (RuntimeException | Error e) {
                fail("seed %d, round %d: %s".formatted(seed, round, new String(mutant, StandardCharsets.UTF_8)), e);
            }
        }
        System.out.printf("Mutated config.json: %d of %d read%n", read, rounds);
        assertThat(read).as("mutants that are read").isBetween(rounds / 50, rounds / 2);
    }

    private static String replaced(String from, String to) {
        assertThat(LLAMA_3_2_1B.replaceAll("\\s+", " ")).contains(from);
        return LLAMA_3_2_1B.replaceAll("\\s+", " ").replace(from, to == null ? "" : to);
    }

    private static String with(String json, String entries) {
        return json.replaceFirst("\\{", "{" + entries + ", ");
    }

    private ModelConfig read(String json) {
        try {
            Files.writeString(directory.resolve("config.json"), json);
            return ModelConfig.read(directory);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
