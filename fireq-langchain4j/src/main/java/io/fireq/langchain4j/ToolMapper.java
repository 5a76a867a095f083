package io.fireq.langchain4j;

import static java.util.stream.Collectors.joining;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import dev.langchain4j.agent.tool.ToolSpecification;
import dev.langchain4j.internal.JsonSchemaElementUtils;
import dev.langchain4j.model.chat.request.json.JsonObjectSchema;
import io.fireq.engine.api.ToolSpec;
import java.util.List;

/** LangChain4j's tool specifications as the engine's, with their arguments as JSON schema text. */
final class ToolMapper {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final JsonObjectSchema NO_ARGUMENTS = JsonObjectSchema.builder().build();

    private ToolMapper() {}

    static List<ToolSpec> specs(List<ToolSpecification> tools) {
        List<ToolSpec> specs = tools.stream().map(ToolMapper::spec).toList();
        String names = specs.stream().map(ToolSpec::name).collect(joining(", "));
        if (specs.stream().map(ToolSpec::name).distinct().count() < specs.size()) {
            throw new IllegalArgumentException("Tools: two have the same name among %s; rename one".formatted(names));
        }
        return specs;
    }

    private static ToolSpec spec(ToolSpecification tool) {
        JsonObjectSchema parameters = tool.parameters() == null ? NO_ARGUMENTS : tool.parameters();
        String description = tool.description() == null ? "" : tool.description();
        try {
            return new ToolSpec(tool.name(), description,
                    JSON.writeValueAsString(JsonSchemaElementUtils.toMap(parameters)));
        } catch (JsonProcessingException e) {
            throw new IllegalArgumentException(
                    "Tool %s: its parameters cannot be written as JSON schema; %s".formatted(tool.name(), e.getMessage()),
                    e);
        }
    }
}
