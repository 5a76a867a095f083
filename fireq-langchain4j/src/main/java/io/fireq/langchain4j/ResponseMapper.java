package io.fireq.langchain4j;

import dev.langchain4j.agent.tool.ToolExecutionRequest;
import dev.langchain4j.data.message.AiMessage;
import dev.langchain4j.model.chat.response.ChatResponse;
import dev.langchain4j.model.output.FinishReason;
import dev.langchain4j.model.output.TokenUsage;
import io.fireq.engine.api.GenerationResult;
import io.fireq.engine.api.ToolCall;
import io.fireq.engine.api.ToolSpec;
import io.fireq.engine.chat.ToolCallParser;
import java.util.List;
import java.util.UUID;

/** The one place where the engine's result becomes a LangChain4j response. */
final class ResponseMapper {
    private ResponseMapper() {}

    /** @param tools the tools that the prompt offered; an answer that calls one of them becomes a tool execution request */
    static ChatResponse response(GenerationResult result, List<ToolSpec> tools, String modelName) {
        List<ToolExecutionRequest> calls = toolCalls(result.text(), tools);
        return ChatResponse.builder()
                .id("fireq-" + UUID.randomUUID())
                .modelName(modelName)
                .aiMessage(calls.isEmpty() ? AiMessage.from(result.text()) : AiMessage.from(calls))
                .tokenUsage(new TokenUsage(result.promptTokens(), result.tokens().length))
                .finishReason(calls.isEmpty() ? finishReason(result.finishReason()) : FinishReason.TOOL_EXECUTION)
                .build();
    }

    private static List<ToolExecutionRequest> toolCalls(String answer, List<ToolSpec> tools) {
        if (tools.isEmpty()) {
            return List.of();
        }
        List<ToolCall> calls = ToolCallParser.parse(answer, tools).orElse(List.of());
        return calls.stream()
                .map(call -> ToolExecutionRequest.builder()
                        .id("call-" + UUID.randomUUID())
                        .name(call.name())
                        .arguments(call.arguments())
                        .build())
                .toList();
    }

    private static FinishReason finishReason(io.fireq.engine.api.FinishReason reason) {
        return switch (reason) {
            case STOP -> FinishReason.STOP;
            case LENGTH -> FinishReason.LENGTH;
            case CANCELLED -> FinishReason.OTHER;
        };
    }
}
