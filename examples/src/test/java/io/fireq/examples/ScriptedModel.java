package io.fireq.examples;

import dev.langchain4j.agent.tool.ToolExecutionRequest;
import dev.langchain4j.data.message.AiMessage;
import dev.langchain4j.data.message.ChatMessage;
import dev.langchain4j.data.message.SystemMessage;
import dev.langchain4j.data.message.ToolExecutionResultMessage;
import dev.langchain4j.data.message.UserMessage;
import dev.langchain4j.model.TokenCountEstimator;
import dev.langchain4j.model.chat.ChatModel;
import dev.langchain4j.model.chat.StreamingChatModel;
import dev.langchain4j.model.chat.request.ChatRequest;
import dev.langchain4j.model.chat.response.ChatResponse;
import dev.langchain4j.model.chat.response.StreamingChatResponseHandler;
import dev.langchain4j.model.output.FinishReason;
import dev.langchain4j.model.output.TokenUsage;
import java.util.List;
import java.util.Map;

/** Says what the demo model says to exactly the prompts that the tour should send; fails on any other. */
final class ScriptedModel {
    private static final Map<String, String> ANSWERS = Map.of(
            "user: What is the capital of Germany?", "The capital of Germany is Berlin.",
            "user: Tell me a story about a dog.", "Tim and Lily\nhad a dog.",
            "system: You are a concise assistant.|user: My name is Klaus.", "Nice to meet you, Klaus!",
            "system: You are a concise assistant.|user: My name is Klaus.|ai: Nice to meet you, Klaus!|user: What is my name?",
            "Your name is Klaus.",
            "user: Extract the person from this text: Anna Smith, aged 31, works as a baker in Oslo.\nYou must answer strictly in the following JSON format: {\n\"name\": (type: string),\n\"age\": (type: integer)\n}",
            "{\"name\": \"Anna\", \"age\": 31}",
            "user: Analyze sentiment of The food was cold and the waiter rude.\nYou must answer strictly with one of these enums:\nPOSITIVE\nNEUTRAL\nNEGATIVE",
            "NEGATIVE",
            "user: What is 17 plus 25?", "call add {\"a\": 17, \"b\": 25}",
            "user: What is 17 plus 25?|call: add|tool: 42", "17 plus 25 is 42.");

    private ScriptedModel() {}

    static ChatModel chat() {
        return new ChatModel() {
            @Override
            public ChatResponse doChat(ChatRequest request) {
                return answer(request);
            }
        };
    }

    static StreamingChatModel streaming() {
        return new StreamingChatModel() {
            @Override
            public void doChat(ChatRequest request, StreamingChatResponseHandler handler) {
                ChatResponse response;
                try {
                    response = answer(request);
                } catch (IllegalStateException e) {
                    handler.onError(e);
                    return;
                }
                for (String word : response.aiMessage().text().split("(?= )")) {
                    handler.onPartialResponse(word);
                }
                handler.onCompleteResponse(response);
            }
        };
    }

    /** One token for each message: the tour's memories are nowhere near full. */
    static TokenCountEstimator tokenCounts() {
        return new TokenCountEstimator() {
            @Override
            public int estimateTokenCountInText(String text) {
                return 1;
            }

            @Override
            public int estimateTokenCountInMessage(ChatMessage message) {
                return 1;
            }

            @Override
            public int estimateTokenCountInMessages(Iterable<ChatMessage> messages) {
                int count = 0;
                for (ChatMessage ignored : messages) {
                    count++;
                }
                return count;
            }
        };
    }

    private static ChatResponse answer(ChatRequest request) {
        String prompt = String.join("|", request.messages().stream().map(ScriptedModel::line).toList());
        String answer = ANSWERS.get(prompt);
        if (answer == null) {
            throw new IllegalStateException("No answer is scripted for this prompt: " + prompt);
        }
        boolean isCall = answer.startsWith("call ");
        AiMessage message = isCall
                ? AiMessage.from(List.of(ToolExecutionRequest.builder()
                        .id("1")
                        .name(request.toolSpecifications().get(0).name())
                        .arguments(answer.substring(answer.indexOf('{')))
                        .build()))
                : AiMessage.from(answer);
        return ChatResponse.builder()
                .aiMessage(message)
                .tokenUsage(new TokenUsage(7, 5))
                .finishReason(isCall ? FinishReason.TOOL_EXECUTION : FinishReason.STOP)
                .build();
    }

    private static String line(ChatMessage message) {
        if (message instanceof SystemMessage system) {
            return "system: " + system.text();
        }
        if (message instanceof UserMessage user) {
            return "user: " + user.singleText();
        }
        if (message instanceof ToolExecutionResultMessage result) {
            return "tool: " + result.text();
        }
        AiMessage answer = (AiMessage) message;
        return answer.hasToolExecutionRequests()
                ? "call: " + answer.toolExecutionRequests().get(0).name()
                : "ai: " + answer.text();
    }
}
