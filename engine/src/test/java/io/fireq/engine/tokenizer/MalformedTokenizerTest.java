package io.fireq.engine.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.fireq.engine.api.FireqException;
import io.fireq.engine.api.ModelFormatException;
import io.fireq.engine.api.UnsupportedModelException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import java.util.function.Consumer;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class MalformedTokenizerTest {
    private static final long SEED = 4_711;

    /** A whole tokenizer in a few lines. */
    private static final String SMALL = """
            {"added_tokens": [{"id": 4, "content": "<|x|>", "special": true, "lstrip": true, "rstrip": true},
                              {"id": 5, "content": "[tag]", "special": false, "single_word": false,
                               "lstrip": false, "rstrip": false, "normalized": false}],
             "normalizer": null, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true, "trim_offsets": true},
             "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true}, "post_processor": null,
             "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "Ġ": 3, "<|x|>": 4}, "merges": ["a b"]}}
            """;

    @TempDir
    private Path dir;

    private Path file;

    @BeforeEach
    void path() {
        file = dir.resolve("tokenizer.json");
    }

    @Test
    void the_small_tokenizer_is_sound() throws IOException {
        Files.writeString(file, SMALL);
        try (Tokenizer tokenizer = Tokenizer.load(dir)) {
            assertThat(tokenizer.encode("ab a")).containsExactly(2, 3, 0);
            assertThat(tokenizer.encode("a<|x|>")).doesNotContain(4);
            assertThat(tokenizer.encodeWithSpecials("a  <|x|> \n b[tag]")).containsExactly(0, 4, 1, 5);
            assertThat(tokenizer.decode(new int[] {2, 3, 5, 4, 0})).isEqualTo("ab [tag]a");
            assertThat(tokenizer.vocabSize()).isEqualTo(6);
            assertThat(tokenizer.bosId()).isEmpty();
        }
    }

    @Test
    void names_the_file_the_place_and_the_problem() throws IOException {
        refuses("", ModelFormatException.class, "expected a JSON object");
        refuses("[]", ModelFormatException.class, "expected a JSON object");
        refuses("{\"model\": ", ModelFormatException.class, "at byte");
        refuses("{\"a\":".repeat(1_000), ModelFormatException.class, "nesting depth");
        refuses("{}", ModelFormatException.class, "model.vocab");
        refuses(SMALL.replace("\"BPE\"", "\"Unigram\""), UnsupportedModelException.class, "Unigram");
        refuses(SMALL.replace("\"b\": 1", "\"b\": -1"), ModelFormatException.class, "token 'b' has id -1");
        refuses(SMALL.replace("\"b\": 1", "\"b\": 2000000000"), ModelFormatException.class, "2000000000");
        refuses(SMALL.replace("\"b\": 1", "\"b\": \"x\""), ModelFormatException.class, "token 'b'");
        refuses(SMALL.replace("\"b\": 1", "\"a\": 1"), ModelFormatException.class, "Duplicate field 'a'");
        refuses(SMALL.replace("a b", "a z"), ModelFormatException.class, "tokenizers library");
        refuses(SMALL.replace("decoder\": {\"type\": \"ByteLevel", "decoder\": {\"type\": \"WordPiece"),
                UnsupportedModelException.class, "[WordPiece]");
        refuses(SMALL.replace("decoder", "dec"), UnsupportedModelException.class, "absent");
        refuses(SMALL.replace("\"lstrip\": true", "\"single_word\": true"), UnsupportedModelException.class, "single_word");
        refuses(SMALL.replace("\"content\": \"<|x|>\"", "\"content\": \"\""), UnsupportedModelException.class, "empty");
        refuses(SMALL.replace("\"content\": \"<|x|>\"", "\"text\": \"\""), ModelFormatException.class, "no content");
    }

    private void refuses(String json, Class<? extends FireqException> type, String message) throws IOException {
        Files.writeString(file, json);
        assertThatThrownBy(() -> Tokenizer.load(dir).close())
                .as(json)
                .isInstanceOf(type)
                .hasMessageContaining(message);
    }

    @Test
    void random_damage_never_causes_anything_but_a_model_exception() throws IOException {
        byte[] good = SMALL.getBytes(StandardCharsets.UTF_8);
        Random random = new Random(SEED);
        int refused = 0;
        for (int round = 0; round < 3_000; round++) {
            byte[] bytes = good.clone();
            for (int i = random.nextInt(3); i >= 0; i--) {
                bytes[random.nextInt(bytes.length)] = (byte) (random.nextBoolean() ? 0x20 + random.nextInt(0x5F)
                        : good[random.nextInt(good.length)]);
            }
            Files.write(file, bytes);
            try (Tokenizer tokenizer = Tokenizer.load(dir)) {
                tokenizer.decode(tokenizer.encodeWithSpecials("ab <|x|> [tag] ba"));
            } catch (FireqException e) {
                refused++;
            } catch (RuntimeException e) {
                throw new AssertionError("seed %d round %d: %s".formatted(SEED, round,
                        new String(bytes, StandardCharsets.UTF_8)), e);
            }
        }
        assertThat(refused).isBetween(1_000, 2_990);
    }

    @Test
    void a_space_at_the_start_of_text_only_is_not_repeated_after_special_tokens() throws IOException {
        Consumer<String> write = scheme -> {
            ObjectNode root = (ObjectNode) JsonFile.MAPPER.valueToTree(TestModels.json(small()));
            root.putObject("pre_tokenizer").put("type", "Metaspace").put("replacement", "Ġ")
                    .put("prepend_scheme", scheme).put("split", false);
            try {
                Files.writeString(file, root.toString());
            } catch (IOException e) {
                throw new IllegalStateException(e);
            }
        };
        Files.writeString(small(), SMALL);
        write.accept("first");
        try (Tokenizer tokenizer = Tokenizer.load(dir)) {
            assertThat(tokenizer.encodeWithSpecials("a<|x|>b")).containsExactly(3, 0, 4, 1);
            assertThat(tokenizer.encodeWithSpecials("<|x|>b")).containsExactly(4, 1);
        }
        write.accept("always");
        try (Tokenizer tokenizer = Tokenizer.load(dir)) {
            assertThat(tokenizer.encodeWithSpecials("a<|x|>b")).containsExactly(3, 0, 4, 3, 1);
        }
    }

    private Path small() {
        return dir.resolve("small.json");
    }
}
