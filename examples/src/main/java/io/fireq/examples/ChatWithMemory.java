package io.fireq.examples;

import dev.langchain4j.memory.chat.TokenWindowChatMemory;
import dev.langchain4j.model.TokenCountEstimator;
import dev.langchain4j.model.chat.ChatModel;
import dev.langchain4j.service.AiServices;
import dev.langchain4j.service.SystemMessage;
import java.util.List;
import org.springframework.core.annotation.Order;
import org.springframework.stereotype.Component;

@Component
@Order(3)
final class ChatWithMemory implements TourStop {
    interface Assistant {
        @SystemMessage("You are a concise assistant.")
        String chat(String message);
    }

    private final Assistant assistant;

    ChatWithMemory(ChatModel model, TokenCountEstimator tokenCounts) {
        assistant = AiServices.builder(Assistant.class)
                .chatModel(model)
                .chatMemory(TokenWindowChatMemory.withMaxTokens(500, tokenCounts))
                .build();
    }

    @Override
    public String title() {
        return "A chat with memory";
    }

    @Override
    public void show(Transcript transcript) {
        for (String message : List.of("My name is Klaus.", "What is my name?")) {
            transcript.asks(message);
            transcript.answers(assistant.chat(message));
        }
    }
}
