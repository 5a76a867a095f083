package io.fireq.engine.chat;

import static org.assertj.core.api.Assertions.assertThat;

import io.fireq.engine.api.ToolCall;
import io.fireq.engine.api.ToolSpec;
import java.util.List;
import org.junit.jupiter.api.Test;

class ToolCallParserTest {
    private static final List<ToolSpec> TOOLS = List.of(new ToolSpec("add", "", "{}"), new ToolSpec("now", "", "{}"));
    private static final ToolCall ADD = new ToolCall("add", "{\"a\":17,\"b\":[1.5,\"é\"]}");
    private static final String CALL = "{\"name\": \"add\", \"parameters\": {\"a\": 17, \"b\": [1.5, \"é\"]}}";

    @Test
    void reads_one_call_or_several() {
        ToolCall now = new ToolCall("now", "{}");
        String nowCall = "{\"arguments\": {}, \"name\": \"now\"}";
        assertThat(ToolCallParser.parse(CALL, TOOLS)).hasValue(List.of(ADD));
        assertThat(ToolCallParser.parse(" \n" + CALL + "\n", TOOLS)).hasValue(List.of(ADD));
        assertThat(ToolCallParser.parse("<|python_tag|>" + CALL, TOOLS)).hasValue(List.of(ADD));
        assertThat(ToolCallParser.parse(CALL + "; " + nowCall, TOOLS)).hasValue(List.of(ADD, now));
        assertThat(ToolCallParser.parse("[" + nowCall + ", " + CALL + "]", TOOLS)).hasValue(List.of(now, ADD));
        assertThat(ToolCallParser.parse("{\"type\": \"function\", " + CALL.substring(1), TOOLS)).hasValue(List.of(ADD));
    }

    @Test
    void everything_else_is_text() {
        for (String text : List.of("", "Hello", "42", "{}", "[]", "null", "{\"name\": \"Anna\", \"age\": 31}", ";",
                "{\"name\": \"sub\", \"parameters\": {}}", "{\"name\": \"add\"}", "{\"name\": \"add\", \"parameters\": 3}",
                "{\"name\": \"add\", \"parameters\": {}, \"age\": 3}", CALL + " is the call", "The call: " + CALL,
                CALL + " " + CALL, CALL.substring(0, CALL.length() - 1), CALL + "}", "[" + CALL, "[" + CALL + ", 3]",
                "{\"name\": \"add\", \"name\": \"now\", \"parameters\": {}}", "[[" + CALL + "]]",
                "{\"name\": \"add\", \"parameters\": {}, \"arguments\": {}}",
                "{\"name\": \"add\", \"parameters\": " + "[".repeat(10_000))) {
            assertThat(ToolCallParser.parse(text, TOOLS)).as(text).isEmpty();
        }
        assertThat(ToolCallParser.parse(CALL, List.of())).isEmpty();
    }

    @Test
    void every_prefix_of_a_call_could_become_one() {
        for (String call : List.of(CALL, " \n<|python_tag|> " + CALL, "[ " + CALL + "]", "{ \"arguments\": {}, \"name\": \"now\"}")) {
            assertThat(ToolCallParser.parse(call, TOOLS)).isPresent();
            for (int end = 0; end <= call.length(); end++) {
                assertThat(ToolCallParser.couldBecomeToolCall(call.substring(0, end))).as(call.substring(0, end)).isTrue();
            }
        }
    }

    @Test
    void text_is_known_as_text_early() {
        for (String text : List.of("H", "<|e", "<b", "{\"age", "{1", "{}", "[1", "[\"", "42", "\"add\"")) {
            assertThat(ToolCallParser.couldBecomeToolCall(text)).as(text).isFalse();
        }
    }
}
