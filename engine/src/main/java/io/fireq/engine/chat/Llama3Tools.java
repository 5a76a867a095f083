package io.fireq.engine.chat;

import io.fireq.engine.api.ChatRole;
import io.fireq.engine.api.ChatTurn;
import io.fireq.engine.api.ToolCall;
import io.fireq.engine.api.ToolSpec;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * Tools as Llama 3.1 was trained on them, written into plain turns: the functions stand in the first user message, a
 * call is the JSON text of an assistant turn, and its result is a turn of its own. The plain turns then go through the
 * model's own template.
 */
final class Llama3Tools {
    private static final String PREAMBLE = """
            Given the following functions, please respond with a JSON for a function call with its proper arguments \
            that best answers the given prompt.

            Respond in the format {"name": function name, "parameters": dictionary of argument name and its value}. \
            Do not use variables.

            """;

    private Llama3Tools() {}

    /** @throws IllegalArgumentException a schema or arguments are not a JSON object, or no user turn can carry the tools */
    static List<ChatTurn> rewrite(List<ChatTurn> turns, List<ToolSpec> tools) {
        List<ChatTurn> plain = new ArrayList<>();
        boolean toolsWritten = tools.isEmpty();
        for (ChatTurn turn : turns) {
            if (turn.role() == ChatRole.USER && !toolsWritten) {
                plain.add(ChatTurn.user(PREAMBLE + functions(tools) + turn.content()));
                toolsWritten = true;
            } else if (!turn.toolCalls().isEmpty()) {
                plain.add(ChatTurn.assistant(withCalls(turn)));
            } else {
                plain.add(turn);
            }
        }
        if (!toolsWritten) {
            throw new IllegalArgumentException(
                    "Chat with %d tools: none of its %d turns is the user's, which carries the tools; add one"
                            .formatted(tools.size(), turns.size()));
        }
        return plain;
    }

    private static String functions(List<ToolSpec> tools) {
        return tools.stream().map(tool -> PythonJson.indented(function(tool), 4) + "\n\n").collect(Collectors.joining());
    }

    private static Map<String, Object> function(ToolSpec tool) {
        Map<String, Object> function = new LinkedHashMap<>();
        function.put("name", tool.name());
        function.put("description", tool.description());
        function.put("parameters", object("Schema of tool '%s'".formatted(tool.name()), tool.parameters()));
        Map<String, Object> outer = new LinkedHashMap<>();
        outer.put("type", "function");
        outer.put("function", function);
        return outer;
    }

    private static String withCalls(ChatTurn turn) {
        String calls = turn.toolCalls().stream().map(Llama3Tools::call).collect(Collectors.joining("; "));
        return turn.content().isBlank() ? calls : turn.content() + "\n" + calls;
    }

    private static String call(ToolCall call) {
        Map<String, Object> json = new LinkedHashMap<>();
        json.put("name", call.name());
        json.put("parameters", object("Arguments of tool call '%s'".formatted(call.name()), call.arguments()));
        return PythonJson.oneLine(json);
    }

    private static Map<?, ?> object(String what, String json) {
        if (PythonJson.parse(what, json) instanceof Map<?, ?> object) {
            return object;
        }
        throw new IllegalArgumentException("%s: must be a JSON object but is %s".formatted(what, json));
    }
}
