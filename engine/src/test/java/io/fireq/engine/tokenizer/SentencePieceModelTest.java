package io.fireq.engine.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import io.fireq.engine.api.FireqException;
import io.fireq.engine.api.ModelFormatException;
import io.fireq.engine.api.UnsupportedModelException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SentencePieceModelTest {
    private static final long SEED = 260_113;

    @Test
    void stories260k_has_the_vocabulary_and_merges_of_its_tokenizer_json() {
        agree(TestModels.stories260k());
    }

    @Test
    void llama_2_has_the_vocabulary_and_merges_of_its_tokenizer_json() {
        agree(TestModels.shared("tokenizers/llama2"));
    }

    private static void agree(Path model) {
        JsonNode actual = SentencePieceModel.toTokenizerJson(model.resolve("tokenizer.model"));
        JsonNode expected = TestModels.json(model.resolve("tokenizer.json"));
        assertThat(actual.path("model").path("vocab").toString())
                .isEqualTo(expected.path("model").path("vocab").toString());
        assertThat(merges(actual)).isEqualTo(merges(expected));
        for (String part : List.of("normalizer", "pre_tokenizer", "decoder")) {
            assertThat(actual.path(part)).as(part).isEqualTo(expected.path(part));
        }
    }

    private static List<String> merges(JsonNode tokenizer) {
        List<String> merges = new ArrayList<>();
        for (JsonNode merge : tokenizer.path("model").path("merges")) {
            merges.add(merge.isArray() ? merge.get(0).asText() + " " + merge.get(1).asText() : merge.asText());
        }
        return merges;
    }

    @Test
    void stories260k_encodes_as_with_its_tokenizer_json(@TempDir Path dir) throws IOException {
        encodeAlike(TestModels.stories260k(), dir);
    }

    @Test
    void llama_2_encodes_as_with_its_tokenizer_json(@TempDir Path dir) throws IOException {
        encodeAlike(TestModels.shared("tokenizers/llama2"), dir);
    }

    private static void encodeAlike(Path model, Path dir) throws IOException {
        List<String> texts = new ArrayList<>(List.of("Once upon a time", "  two  spaces ", "naïve 東京 🙂\u0000\n\t", "<s></s>", ""));
        Random random = new Random(SEED);
        for (int i = 0; i < 500; i++) {
            texts.add(random.ints(random.nextInt(40), 0x20, i % 5 == 0 ? 0x3000 : 0x7F)
                    .collect(StringBuilder::new, StringBuilder::appendCodePoint, StringBuilder::append).toString());
        }
        Files.write(dir.resolve("tokenizer.model"), Files.readAllBytes(model.resolve("tokenizer.model")));
        try (Tokenizer actual = Tokenizer.load(dir); Tokenizer expected = Tokenizer.load(model)) {
            for (String text : texts) {
                int[] ids = actual.encode(text);
                assertThat(ids).as("seed %d: %s", SEED, text).containsExactly(expected.encode(text));
                assertThat(actual.decode(ids)).isEqualTo(expected.decode(ids));
            }
            assertThat(actual.encodeWithSpecials("<s>hi</s>")).containsExactly(expected.encodeWithSpecials("<s>hi</s>"));
            assertThat(actual.specialTokens()).isEqualTo(expected.specialTokens());
            assertThat(actual.bosId()).hasValue(1);
        }
    }

    @Test
    void names_a_tiktoken_vocabulary(@TempDir Path dir) throws IOException {
        Files.writeString(dir.resolve("tokenizer.model"), "IQ== 0\nIg== 1\n");
        assertThatThrownBy(() -> Tokenizer.load(dir))
                .isInstanceOf(UnsupportedModelException.class)
                .hasMessageContaining("tiktoken")
                .hasMessageContaining("tokenizer.json");
    }

    @Test
    void a_broken_file_is_named_with_the_place(@TempDir Path dir) throws IOException {
        Path file = dir.resolve("tokenizer.model");
        byte[] cutShort = {0x0A, 0x10, 0x0A, 0x03, 'a', 'b', 'c'};
        for (byte[] bytes : List.of(new byte[0], cutShort, "plain text".getBytes(StandardCharsets.US_ASCII), new byte[64],
                new byte[] {(byte) 0xFF, (byte) 0xFF, (byte) 0xFF})) {
            Files.write(file, bytes);
            assertThatThrownBy(() -> Tokenizer.load(dir))
                    .as(Arrays.toString(bytes))
                    .isInstanceOf(ModelFormatException.class)
                    .hasMessageContaining("tokenizer.model");
        }
    }

    @Test
    void random_damage_never_causes_anything_but_a_model_exception(@TempDir Path dir) throws IOException {
        byte[] good = Files.readAllBytes(TestModels.stories260k().resolve("tokenizer.model"));
        Path file = dir.resolve("tokenizer.model");
        Random random = new Random(SEED);
        int refused = 0;
        for (int round = 0; round < 2_000; round++) {
            byte[] bytes = random.nextInt(4) == 0 ? Arrays.copyOf(good, random.nextInt(good.length)) : good.clone();
            for (int i = random.nextInt(6); i >= 0 && bytes.length > 0; i--) {
                bytes[random.nextInt(bytes.length)] = (byte) random.nextInt(256);
            }
            Files.write(file, bytes);
            try {
                SentencePieceModel.toTokenizerJson(file);
            } catch (FireqException e) {
                refused++;
                assertThat(e).as("seed %d round %d", SEED, round).hasMessageContaining("tokenizer.model");
            }
        }
        assertThat(refused).isBetween(200, 1_990);
    }
}
