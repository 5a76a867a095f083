package io.fireq.examples;

import dev.langchain4j.model.chat.ChatModel;
import dev.langchain4j.service.AiServices;
import org.springframework.core.annotation.Order;
import org.springframework.stereotype.Component;

@Component
@Order(1)
final class PlainQuestion implements TourStop {
    interface Assistant {
        String chat(String message);
    }

    private final Assistant assistant;

    PlainQuestion(ChatModel model) {
        assistant = AiServices.create(Assistant.class, model);
    }

    @Override
    public String title() {
        return "A plain question";
    }

    @Override
    public void show(Transcript transcript) {
        String question = "What is the capital of Germany?";
        transcript.asks(question);
        transcript.answers(assistant.chat(question));
    }
}
