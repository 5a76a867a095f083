package io.fireq.engine.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class StreamingDetokenizerTest {
    private static final long SEED = 20_261_123;

    @Test
    void pieces_put_together_are_the_bytes_of_all_tokens_decoded_at_once() {
        agreesWithDecodingAllBytes(TestModels.ember(), false);
    }

    @Test
    void pieces_put_together_are_the_bytes_of_all_tokens_decoded_at_once_in_sentencepiece_vocabularies() {
        agreesWithDecodingAllBytes(TestModels.stories260k(), true);
    }

    private static void agreesWithDecodingAllBytes(Path model, boolean stripsOneSpace) {
        try (Tokenizer tokenizer = Tokenizer.load(model)) {
            Random random = new Random(SEED);
            int[] byteTokens = IntStream.range(0, tokenizer.vocabSize())
                    .filter(id -> tokenizer.tokenBytes(id).length == 1).toArray();
            assertThat(byteTokens).hasSizeGreaterThan(255);
            for (int round = 0; round < 20_000; round++) {
                int[] ids = new int[random.nextInt(12)];
                for (int i = 0; i < ids.length; i++) {
                    // Byte tokens make malformed and half characters likely.
                    ids[i] = random.nextInt(4) == 0
                            ? random.nextInt(tokenizer.vocabSize())
                            : byteTokens[random.nextInt(byteTokens.length)];
                }
                ByteArrayOutputStream all = new ByteArrayOutputStream();
                StringBuilder pieces = new StringBuilder();
                StreamingDetokenizer detokenizer = StreamingDetokenizer.forContinuation(tokenizer);
                for (int id : ids) {
                    all.writeBytes(tokenizer.tokenBytes(id));
                    pieces.append(detokenizer.push(id));
                }
                pieces.append(detokenizer.finish());
                String whole = all.toString(StandardCharsets.UTF_8);
                assertThat(pieces).as("seed %d round %d", SEED, round).hasToString(whole);
                String text = stripsOneSpace && whole.startsWith(" ") ? whole.substring(1) : whole;
                assertThat(tokenizer.decode(ids)).as("seed %d round %d", SEED, round).isEqualTo(text);
            }
        }
    }

    @Test
    void holds_a_character_back_until_its_last_byte() {
        try (Tokenizer ember = Tokenizer.load(TestModels.ember())) {
            StreamingDetokenizer detokenizer = StreamingDetokenizer.forWholeText(ember);
            int[] ids = ember.encode("🙂");
            assertThat(ids).hasSize(4);
            assertThat(detokenizer.push(ids[0])).isEmpty();
            assertThat(detokenizer.push(ids[1])).isEmpty();
            assertThat(detokenizer.push(ids[2])).isEmpty();
            assertThat(detokenizer.push(ids[3])).isEqualTo("🙂");
            assertThat(detokenizer.push(ids[0])).isEmpty();
            assertThat(detokenizer.push(8185)).as("special tokens have no text").isEmpty();
            assertThat(detokenizer.finish()).isEqualTo("\uFFFD");
            assertThat(detokenizer.finish()).isEmpty();
        }
    }

    @Test
    void only_the_first_space_of_a_sentencepiece_text_is_stripped() {
        try (Tokenizer stories = Tokenizer.load(TestModels.stories260k())) {
            assertThat(stories.decode(stories.encode("  two  "))).isEqualTo("  two  ");
            int[] ids = stories.encode("once upon");
            StreamingDetokenizer detokenizer = StreamingDetokenizer.forContinuation(stories);
            StringBuilder text = new StringBuilder();
            for (int id : ids) {
                text.append(detokenizer.push(id));
            }
            assertThat(text).hasToString(" once upon");
        }
    }
}
