package io.fireq.examples;

import dev.langchain4j.model.chat.ChatModel;
import dev.langchain4j.service.AiServices;
import dev.langchain4j.service.UserMessage;
import org.springframework.core.annotation.Order;
import org.springframework.stereotype.Component;

@Component
@Order(5)
final class SentimentAnalysis implements TourStop {
    enum Sentiment {
        POSITIVE,
        NEUTRAL,
        NEGATIVE
    }

    interface SentimentAnalyzer {
        @UserMessage("Analyze sentiment of {{it}}")
        Sentiment analyze(String text);
    }

    private final SentimentAnalyzer analyzer;

    SentimentAnalysis(ChatModel model) {
        analyzer = AiServices.create(SentimentAnalyzer.class, model);
    }

    @Override
    public String title() {
        return "An enum from a sentence";
    }

    @Override
    public void show(Transcript transcript) {
        String text = "The food was cold and the waiter rude.";
        transcript.asks(text);
        transcript.result(analyzer.analyze(text));
    }
}
