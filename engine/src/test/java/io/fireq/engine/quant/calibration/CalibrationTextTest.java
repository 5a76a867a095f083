package io.fireq.engine.quant.calibration;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.fireq.engine.api.FireqException;
import io.fireq.engine.tokenizer.TestModels;
import io.fireq.engine.tokenizer.Tokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class CalibrationTextTest {
    private static final String TEXT = "Once upon a time there was a little boat and it wanted to see the wide sea. "
            + "The wind blew and the boat went far away, but in the evening it came back home.";

    @TempDir
    Path directory;

    @Test
    void the_built_in_text_is_long_enough_for_both_profiles() {
        CalibrationText text = CalibrationText.load(Optional.empty());
        assertThat(text.name()).isEqualTo("built-in");
        assertThat(text.documents()).hasSize(1);
        assertThat(text.documents().get(0)).hasSizeGreaterThan(500_000).doesNotContain("\uFFFD");
    }

    @Test
    void reads_a_text() throws IOException {
        CalibrationText text = load("text.txt", "Grüße\n\nund mehr\n");
        assertThat(text.name()).isEqualTo("text.txt");
        assertThat(text.documents()).containsExactly("Grüße\n\nund mehr\n");
    }

    @Test
    void reads_json_lines() throws IOException {
        CalibrationText text = load("text.jsonl", """
                {"text": "one", "id": 7}

                {"meta": {"from": "nowhere"}, "text": "two\\nlines"}
                {"text": "  "}
                """);
        assertThat(text.documents()).as("blank ones are left out").containsExactly("one", "two\nlines");
    }

    @Test
    void what_cannot_be_read_is_named() throws IOException {
        assertThatThrownBy(() -> CalibrationText.load(Optional.of(directory.resolve("none.txt"))))
                .isInstanceOf(FireqException.class).hasMessageContaining("none.txt: there is no such file");
        assertThatThrownBy(() -> load("empty.txt", " \n")).hasMessageContaining("empty.txt: it holds no text");
        assertThatThrownBy(() -> load("bad.jsonl", "{\"text\": \"one\"}\n{\"text\": \n"))
                .isInstanceOf(FireqException.class).hasMessageContaining("line 2");
        assertThatThrownBy(() -> load("other.jsonl", "{\"content\": \"one\"}\n")).hasMessageContaining("line 1")
                .hasMessageContaining("text");
        Path latin1 = Files.write(directory.resolve("latin1.txt"), new byte[] {'G', 'r', (byte) 0xFC, (byte) 0xDF, 'e'});
        assertThatThrownBy(() -> CalibrationText.load(Optional.of(latin1))).hasMessageContaining("it is not UTF-8");
    }

    @Test
    void every_other_window_begins_as_a_prompt_does_and_nothing_is_read_twice() throws IOException {
        try (Tokenizer tokenizer = Tokenizer.load(TestModels.stories260k())) {
            int bos = tokenizer.bosId().orElseThrow();
            int[] tokens = tokenizer.encode(TEXT);
            List<int[]> windows = load("text.txt", TEXT).windows(tokenizer, 100, 16, 1);
            List<Integer> read = new ArrayList<>();
            for (int w = 0; w < windows.size(); w++) {
                assertThat(windows.get(w)).hasSize(16);
                assertThat(windows.get(w)[0] == bos).as("window %d", w).isEqualTo(w % 2 == 0);
                Arrays.stream(windows.get(w)).skip(w % 2 == 0 ? 1 : 0).forEach(read::add);
            }
            assertThat(windows).hasSizeGreaterThan(3);
            assertThat(read).isEqualTo(Arrays.stream(tokens).limit(read.size()).boxed().toList());
            assertThat(tokens.length - read.size()).as("a rest shorter than a window is left out").isBetween(0, 16);
        }
    }

    @Test
    void documents_follow_each_other() throws IOException {
        try (Tokenizer tokenizer = Tokenizer.load(TestModels.stories260k())) {
            CalibrationText two = load("two.jsonl", "{\"text\": \"Once upon a time\"}\n{\"text\": \"a cat sat\"}\n");
            int[] window = two.windows(tokenizer, 1, 100, 1).get(0);
            assertThat(window).hasSize(1 + tokenizer.encode("Once upon a time").length
                    + tokenizer.encode("a cat sat").length);
        }
    }

    @Test
    void a_choice_of_windows_is_a_matter_of_the_seed_and_keeps_their_order() throws IOException {
        try (Tokenizer tokenizer = Tokenizer.load(TestModels.stories260k())) {
            CalibrationText text = load("text.txt", TEXT.repeat(4));
            List<String> all = strings(text.windows(tokenizer, 1000, 8, 1));
            List<String> chosen = strings(text.windows(tokenizer, 6, 8, 1));
            assertThat(chosen).hasSize(6).isEqualTo(strings(text.windows(tokenizer, 6, 8, 1)));
            assertThat(chosen).isNotEqualTo(strings(text.windows(tokenizer, 6, 8, 2)));
            assertThat(chosen).isNotEqualTo(all.subList(0, 6));
            assertThat(all).containsSubsequence(chosen);
        }
    }

    @Test
    void a_text_shorter_than_a_window_is_one_of_its_length_and_one_token_is_enough() throws IOException {
        try (Tokenizer tokenizer = Tokenizer.load(TestModels.stories260k())) {
            CalibrationText text = load("text.txt", "a cat sat");
            assertThat(text.windows(tokenizer, 5, 100, 1)).singleElement()
                    .satisfies(window -> assertThat(window).hasSize(1 + tokenizer.encode("a cat sat").length));
            assertThat(text.windows(tokenizer, 1, 1, 1)).singleElement()
                    .satisfies(window -> assertThat(window).hasSize(1));
        }
    }

    private CalibrationText load(String name, String content) throws IOException {
        return CalibrationText.load(Optional.of(Files.writeString(directory.resolve(name), content)));
    }

    private static List<String> strings(List<int[]> windows) {
        return windows.stream().map(Arrays::toString).toList();
    }
}
