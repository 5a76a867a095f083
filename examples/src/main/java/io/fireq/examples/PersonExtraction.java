package io.fireq.examples;

import dev.langchain4j.model.chat.ChatModel;
import dev.langchain4j.service.AiServices;
import dev.langchain4j.service.UserMessage;
import org.springframework.core.annotation.Order;
import org.springframework.stereotype.Component;

@Component
@Order(4)
final class PersonExtraction implements TourStop {
    record Person(String name, Integer age) {}

    interface PersonExtractor {
        @UserMessage("Extract the person from this text: {{it}}")
        Person extract(String text);
    }

    private final PersonExtractor extractor;

    PersonExtraction(ChatModel model) {
        extractor = AiServices.create(PersonExtractor.class, model);
    }

    @Override
    public String title() {
        return "A Java record from a sentence";
    }

    @Override
    public void show(Transcript transcript) {
        String text = "Anna Smith, aged 31, works as a baker in Oslo.";
        transcript.asks(text);
        transcript.result(extractor.extract(text));
    }
}
