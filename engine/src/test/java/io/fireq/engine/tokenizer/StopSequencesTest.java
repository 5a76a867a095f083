package io.fireq.engine.tokenizer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class StopSequencesTest {
    private static final long SEED = 7_113;

    @Test
    void agrees_with_looking_at_the_whole_text() {
        Random random = new Random(SEED);
        int stopped = 0;
        for (int round = 0; round < 50_000; round++) {
            List<String> stops = new ArrayList<>();
            for (int i = random.nextInt(4); i > 0; i--) {
                stops.add(randomText(random, 1 + random.nextInt(5)));
            }
            String text = randomText(random, random.nextInt(25));
            String what = "seed %d round %d: stops %s in %s".formatted(SEED, round, stops, text);

            StopSequences sequences = new StopSequences(stops);
            StringBuilder out = new StringBuilder();
            for (int from = 0; from < text.length(); ) {
                int to = Math.min(text.length(), from + random.nextInt(6));
                out.append(sequences.feed(text.substring(from, to)));
                if (!sequences.stopped()) {
                    assertThat(to - out.length()).as("held, " + what).isEqualTo(mayStillStop(text.substring(0, to), stops));
                }
                from = to;
            }
            out.append(sequences.flush());

            String expected = beforeFirstStop(text, stops);
            assertThat(out).as(what).hasToString(expected == null ? text : expected);
            assertThat(sequences.stopped()).as(what).isEqualTo(expected != null);
            stopped += expected != null ? 1 : 0;
        }
        assertThat(stopped).isBetween(10_000, 45_000);
    }

    /** The oracle: the shortest prefix of the text that ends with a stop string, less the longest such string. */
    private static String beforeFirstStop(String text, List<String> stops) {
        for (int end = 1; end <= text.length(); end++) {
            String prefix = text.substring(0, end);
            int longest = stops.stream().filter(prefix::endsWith).mapToInt(String::length).max().orElse(0);
            if (longest > 0) {
                return prefix.substring(0, end - longest);
            }
        }
        return null;
    }

    /** The longest end of the text that starts some stop string: no less may be held, and no more should be. */
    private static int mayStillStop(String text, List<String> stops) {
        for (int length = text.length(); length > 0; length--) {
            String end = text.substring(text.length() - length);
            if (stops.stream().anyMatch(stop -> stop.startsWith(end))) {
                return length;
            }
        }
        return 0;
    }

    private static String randomText(Random random, int length) {
        return random.ints(length, 'a', 'c').collect(StringBuilder::new, StringBuilder::appendCodePoint,
                StringBuilder::append).toString();
    }

    @Test
    void no_part_of_a_stop_string_leaks_across_pieces() {
        StopSequences sequences = new StopSequences(List.of("\nUser:", "###"));
        assertThat(sequences.feed("Hi\n")).isEqualTo("Hi");
        assertThat(sequences.feed("Us")).isEmpty();
        assertThat(sequences.feed("ual #")).isEqualTo("\nUsual ");
        assertThat(sequences.feed("# x")).isEqualTo("## x");
        assertThat(sequences.feed("\nUser: more")).isEmpty();
        assertThat(sequences.stopped()).isTrue();
        assertThat(sequences.matched()).hasValue("\nUser:");
        assertThat(sequences.feed("after")).isEmpty();
        assertThat(sequences.flush()).isEmpty();
    }

    @Test
    void refuses_an_empty_stop_string() {
        assertThatThrownBy(() -> new StopSequences(List.of("a", ""))).isInstanceOf(IllegalArgumentException.class);
    }
}
