package io.fireq.langchain4j;

import dev.langchain4j.data.message.AiMessage;
import dev.langchain4j.data.message.ChatMessage;
import dev.langchain4j.data.message.Content;
import dev.langchain4j.data.message.SystemMessage;
import dev.langchain4j.data.message.TextContent;
import dev.langchain4j.data.message.ToolExecutionResultMessage;
import dev.langchain4j.data.message.UserMessage;
import dev.langchain4j.exception.UnsupportedFeatureException;
import io.fireq.engine.api.ChatRole;
import io.fireq.engine.api.ChatTurn;
import io.fireq.engine.api.ToolCall;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/** LangChain4j's messages as the engine's turns. */
final class MessageMapper {
    private MessageMapper() {}

    static List<ChatTurn> turns(List<ChatMessage> messages) {
        return messages.stream().map(MessageMapper::turn).toList();
    }

    /** @throws UnsupportedFeatureException if the message holds anything but text */
    static ChatTurn turn(ChatMessage message) {
        if (message instanceof SystemMessage system) {
            return ChatTurn.system(system.text());
        }
        if (message instanceof UserMessage user) {
            return ChatTurn.user(text(user.contents()));
        }
        if (message instanceof AiMessage answer) {
            List<ToolCall> calls = answer.toolExecutionRequests().stream()
                    .map(request -> new ToolCall(request.name(), argumentsOf(request.arguments())))
                    .toList();
            return new ChatTurn(ChatRole.ASSISTANT, answer.text() == null ? "" : answer.text(), calls);
        }
        if (message instanceof ToolExecutionResultMessage result) {
            return new ChatTurn(ChatRole.TOOL, text(result.contents()));
        }
        throw new UnsupportedFeatureException(
                "Chat message: messages of type %s are not supported; use system, user, AI and tool result messages"
                        .formatted(message.type()));
    }

    private static String argumentsOf(String arguments) {
        return arguments == null || arguments.isBlank() ? "{}" : arguments;
    }

    private static String text(List<Content> contents) {
        return contents.stream().map(MessageMapper::text).collect(Collectors.joining("\n"));
    }

    private static String text(Content content) {
        if (content instanceof TextContent text) {
            return text.text();
        }
        throw new UnsupportedFeatureException(
                "Chat message: content of type %s is not supported; this model reads text only"
                        .formatted(content.type().name().toLowerCase(Locale.ROOT)));
    }
}
