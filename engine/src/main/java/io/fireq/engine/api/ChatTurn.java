package io.fireq.engine.api;

import java.util.List;
import java.util.Objects;

/**
 * One message of a chat.
 *
 * @param role      who speaks
 * @param content   plain text; may be empty where there are tool calls
 * @param toolCalls calls that an assistant turn made
 */
public record ChatTurn(ChatRole role, String content, List<ToolCall> toolCalls) {

    public ChatTurn {
        Objects.requireNonNull(role, "role");
        Objects.requireNonNull(content, "content");
        toolCalls = List.copyOf(toolCalls);
    }

    public ChatTurn(ChatRole role, String content) {
        this(role, content, List.of());
    }

    public static ChatTurn system(String content) {
        return new ChatTurn(ChatRole.SYSTEM, content);
    }

    public static ChatTurn user(String content) {
        return new ChatTurn(ChatRole.USER, content);
    }

    public static ChatTurn assistant(String content) {
        return new ChatTurn(ChatRole.ASSISTANT, content);
    }
}
