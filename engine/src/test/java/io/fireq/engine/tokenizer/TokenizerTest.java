package io.fireq.engine.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import io.fireq.engine.api.ModelNotFoundException;
import java.lang.reflect.Field;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TokenizerTest {
    private static final List<String> TEXTS = List.of(
            "", " ", "\n\n", "Hello world", "  two spaces  ", "naïve café — 東京 🙂 é", "👩‍👩‍👧 family", "tab\tand\u0000nul",
            "\uFDD0 noncharacter \uFFFF", "x<|eot_id|>y", "<s>", "</s><unk>", "<0x0A>", "▁under");

    private static Tokenizer ember;

    @BeforeAll
    static void load() {
        ember = Tokenizer.load(TestModels.ember());
    }

    @AfterAll
    static void close() {
        ember.close();
    }

    @Test
    void encodes_the_golden_texts_like_transformers() {
        JsonNode cases = TestModels.emberGolden().path("tokenizer");
        assertThat(cases).hasSize(10);
        for (JsonNode expected : cases) {
            String text = expected.path("text").textValue();
            assertThat(ember.encodeWithSpecials(text)).as(text).containsExactly(TestModels.ints(expected.path("ids")));
            assertThat(ember.encodeWithSpecials("<|begin_of_text|>" + text))
                    .as("BOS + " + text)
                    .containsExactly(TestModels.ints(expected.path("ids_bos")));
        }
    }

    @Test
    void encodes_the_prompts_of_stories260k_like_transformers() {
        Path model = TestModels.stories260k();
        try (Tokenizer stories = Tokenizer.load(model)) {
            for (JsonNode expected : TestModels.json(model.resolve("golden_greedy.json"))) {
                String prompt = expected.path("prompt").textValue();
                assertThat(stories.encodeWithSpecials("<s>" + prompt))
                        .as(prompt)
                        .containsExactly(TestModels.ints(expected.path("prompt_ids")));
                StreamingDetokenizer detokenizer = StreamingDetokenizer.forContinuation(stories);
                StringBuilder text = new StringBuilder();
                for (String part : List.of("prompt_ids", "greedy_ids")) {
                    for (int id : TestModels.ints(expected.path(part))) {
                        text.append(detokenizer.push(id));
                    }
                }
                assertThat(text.append(detokenizer.finish())).hasToString(expected.path("text").textValue());
            }
        }
    }

    @Test
    void text_that_spells_a_special_token_stays_text() {
        ember.specialTokens().forEach((text, id) -> {
            assertThat(ember.encode(text)).as(text).doesNotContain(id);
            assertThat(ember.decode(ember.encode(text))).isEqualTo(text);
            assertThat(ember.encodeWithSpecials(text)).containsExactly(id);
        });
        assertThat(ember.specialTokens()).hasSize(16);
    }

    @Test
    void text_that_spells_a_special_token_stays_text_in_stories260k() {
        specialsStayText(TestModels.stories260k());
    }

    @Test
    void text_that_spells_a_special_token_stays_text_in_llama_2() {
        specialsStayText(TestModels.shared("tokenizers/llama2"));
    }

    private static void specialsStayText(Path model) {
        try (Tokenizer tokenizer = Tokenizer.load(model)) {
            for (String text : List.of("<s>", "</s>", "a</s>b", "<unk>", "<0x0A>")) {
                int[] ids = tokenizer.encode(text);
                assertThat(Arrays.stream(ids).filter(tokenizer::isSpecial)).as(text).isEmpty();
                assertThat(tokenizer.decode(ids)).isEqualTo(text);
            }
            assertThat(tokenizer.encodeWithSpecials("</s>")).containsExactly(2);
            assertThat(tokenizer.bosId()).hasValue(1);
        }
    }

    @Test
    void decoding_gives_the_text_back() {
        roundTrip(TestModels.ember(), TEXTS);
    }

    @Test
    void decoding_gives_the_text_back_for_llama_3() {
        roundTrip(TestModels.shared("tokenizers/llama3"), TEXTS);
    }

    @Test
    void decoding_gives_the_text_back_for_llama_2() {
        roundTrip(TestModels.shared("tokenizers/llama2"), withoutUnderscores());
    }

    @Test
    void decoding_gives_the_text_back_for_stories260k() {
        roundTrip(TestModels.stories260k(), withoutUnderscores());
    }

    /** SentencePiece writes a space as U+2581 and cannot tell the two apart afterwards. */
    private static List<String> withoutUnderscores() {
        return TEXTS.stream().filter(text -> text.indexOf('▁') < 0).toList();
    }

    private static void roundTrip(Path model, List<String> texts) {
        try (Tokenizer tokenizer = Tokenizer.load(model)) {
            for (String text : texts) {
                int[] ids = tokenizer.encode(text);
                assertThat(tokenizer.decode(ids)).isEqualTo(text);
                assertThat(tokenizer.tokenCount(text)).isEqualTo(ids.length);
            }
        }
    }

    @Test
    void token_bytes_of_a_byte_level_vocabulary() {
        int[] ids = ember.encode("é 東");
        byte[] bytes = new byte[0];
        for (int id : ids) {
            bytes = concat(bytes, ember.tokenBytes(id));
        }
        assertThat(bytes).isEqualTo("é 東".getBytes(StandardCharsets.UTF_8));
        assertThat(ember.tokenBytes(198)).containsExactly('\n');
        assertThat(ember.tokenBytes(8185)).isEmpty();
        assertThat(ember.tokenBytes(ember.vocabSize() + 7)).isEmpty();
    }

    private static byte[] concat(byte[] a, byte[] b) {
        byte[] both = Arrays.copyOf(a, a.length + b.length);
        System.arraycopy(b, 0, both, a.length, b.length);
        return both;
    }

    @Test
    void knows_its_vocabulary() {
        assertThat(ember.vocabSize()).isEqualTo(8192);
        assertThat(ember.idOf("<|eot_id|>")).hasValue(8185);
        assertThat(ember.idOf("Ġt")).isPresent();
        assertThat(ember.idOf("no such token")).isEmpty();
        assertThat(ember.isSpecial(8185)).isTrue();
        assertThat(ember.isSpecial(0)).isFalse();
        assertThat(ember.bosId()).hasValue(8176);
        assertThat(ember.eosId()).hasValue(8185);
    }

    @Test
    void an_unpaired_surrogate_is_a_replacement_character() {
        for (String broken : List.of("\uD83D", "a\uDE00b", "\uDE00\uD83D", "🙂\uD83D")) {
            String repaired = broken.codePoints()
                    .map(c -> c >= 0xD800 && c <= 0xDFFF ? 0xFFFD : c)
                    .collect(StringBuilder::new, StringBuilder::appendCodePoint, StringBuilder::append).toString();
            assertThat(ember.encode(broken)).containsExactly(ember.encode(repaired));
        }
    }

    @Test
    void long_text_is_not_truncated() {
        String text = "The quick brown fox. ".repeat(2_000);
        assertThat(ember.decode(ember.encode(text))).isEqualTo(text);
    }

    @Test
    void loading_calls_nobody_and_leaves_no_trace_in_the_system_properties() throws ReflectiveOperationException {
        assertThat(System.getProperties())
                .doesNotContainKeys("RUST_FLAVOR", "ai.djl.offline", "ai.djl.util.cuda.fork");
        Field lastReport = Class.forName("ai.djl.util.Ec2Utils").getDeclaredField("lastCheckIn");
        lastReport.setAccessible(true);
        assertThat(lastReport.getLong(null)).as("when DJL last reported its use").isZero();
    }

    @Test
    void threads_share_one_tokenizer() {
        List<String> texts = IntStream.range(0, 64)
                .mapToObj(i -> "thread " + i + " naïve 東京 🙂 " + "word".repeat(i)).toList();
        List<int[]> alone = texts.stream().map(ember::encode).toList();
        IntStream.range(0, 2_000).parallel().forEach(i ->
                assertThat(ember.encode(texts.get(i % 64))).containsExactly(alone.get(i % 64)));
    }

    @Test
    void names_the_directory_without_a_tokenizer(@TempDir Path empty) {
        assertThatThrownBy(() -> Tokenizer.load(empty))
                .isInstanceOf(ModelNotFoundException.class)
                .hasMessageContaining(empty.toString())
                .hasMessageContaining("tokenizer.json");
    }
}
