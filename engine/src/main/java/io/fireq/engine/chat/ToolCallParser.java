package io.fireq.engine.chat;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.DeserializationFeature;
import io.fireq.engine.api.ToolCall;
import io.fireq.engine.api.ToolSpec;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * Reads tool calls out of an answer in Llama 3's format: the whole answer is
 * {@code {"name": ..., "parameters": {...}}}, or several of these separated by {@code ;} or in a list, optionally after
 * {@code <|python_tag|>}. Everything else is text. No state.
 */
public final class ToolCallParser {
    private static final String PYTHON_TAG = "<|python_tag|>";
    private static final Set<String> KEYS = Set.of("name", "parameters", "arguments", "type", "id");
    /** Values are read one after the other, so text after one is not an error here. */
    private static final ObjectReader READER =
            PythonJson.MAPPER.readerFor(JsonNode.class).without(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

    private ToolCallParser() {}

    /**
     * @param answer the whole answer
     * @param tools  the tools of the chat; an object with another name is not a call
     * @return at least one call with arguments as compact JSON, or empty where the answer is text
     */
    public static Optional<List<ToolCall>> parse(String answer, List<ToolSpec> tools) {
        Set<String> names = tools.stream().map(ToolSpec::name).collect(Collectors.toSet());
        List<ToolCall> calls = new ArrayList<>();
        String rest = afterTag(answer.strip());
        while (!rest.isEmpty()) {
            if (rest.charAt(0) != '{' && rest.charAt(0) != '[') {
                return Optional.empty();
            }
            int end;
            try (JsonParser parser = PythonJson.MAPPER.createParser(rest)) {
                JsonNode value = READER.readValue(parser);
                if (!addCalls(value, names, calls)) {
                    return Optional.empty();
                }
                end = (int) parser.currentLocation().getCharOffset();
            } catch (IOException e) {
                return Optional.empty();
            }
            rest = rest.substring(end).strip();
            if (!rest.isEmpty()) {
                if (rest.charAt(0) != ';') {
                    return Optional.empty();
                }
                rest = rest.substring(1).strip();
            }
        }
        return calls.isEmpty() ? Optional.empty() : Optional.of(List.copyOf(calls));
    }

    private static boolean addCalls(JsonNode value, Set<String> names, List<ToolCall> calls) {
        if (!value.isArray()) {
            Optional<ToolCall> call = call(value, names);
            call.ifPresent(calls::add);
            return call.isPresent();
        }
        for (JsonNode item : value) {
            Optional<ToolCall> call = call(item, names);
            if (call.isEmpty()) {
                return false;
            }
            calls.add(call.get());
        }
        return true;
    }

    private static Optional<ToolCall> call(JsonNode object, Set<String> names) {
        String name = object.path("name").textValue();
        JsonNode arguments = object.has("parameters") ? object.path("parameters") : object.path("arguments");
        if (name == null || !names.contains(name) || !arguments.isObject()
                || object.has("parameters") && object.has("arguments")
                || object.properties().stream().anyMatch(entry -> !KEYS.contains(entry.getKey()))) {
            return Optional.empty();
        }
        try {
            return Optional.of(new ToolCall(name, PythonJson.MAPPER.writeValueAsString(arguments)));
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("a parsed JSON tree cannot be written", e);
        }
    }

    private static String afterTag(String text) {
        return text.startsWith(PYTHON_TAG) ? text.substring(PYTHON_TAG.length()).strip() : text;
    }

    /**
     * For streaming: text may be shown as it comes once this is false, and it stays false for every longer prefix.
     *
     * @param prefix the answer so far
     * @return whether {@link #parse} could still find calls
     */
    public static boolean couldBecomeToolCall(String prefix) {
        String text = prefix.stripLeading();
        if (PYTHON_TAG.startsWith(text)) {
            return true;
        }
        text = afterTag(text);
        if (text.startsWith("[")) {
            text = text.substring(1).stripLeading();
        }
        if (text.isEmpty()) {
            return true;
        }
        if (text.charAt(0) != '{') {
            return false;
        }
        String key = text.substring(1).stripLeading();
        return KEYS.stream().map(known -> '"' + known + '"').anyMatch(known -> known.startsWith(key) || key.startsWith(known));
    }
}
