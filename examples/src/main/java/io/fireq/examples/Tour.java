package io.fireq.examples;

import dev.langchain4j.model.chat.ChatModel;
import java.util.List;
import org.springframework.boot.ApplicationArguments;
import org.springframework.boot.ApplicationRunner;
import org.springframework.stereotype.Component;

/** Goes from stop to stop, then hands over to the user. */
@Component
final class Tour implements ApplicationRunner {
    private final ChatModel model;
    private final List<TourStop> stops;
    private final Conversation conversation;

    Tour(ChatModel model, List<TourStop> stops, Conversation conversation) {
        this.model = model;
        this.stops = stops;
        this.conversation = conversation;
    }

    @Override
    public void run(ApplicationArguments arguments) {
        String modelName = model.defaultRequestParameters().modelName();
        Transcript transcript = new Transcript(System.out, modelName);
        transcript.heading("What %s says inside this JVM".formatted(modelName));
        show(transcript);
        conversation.holdIfThereIsATerminal(transcript);
    }

    void show(Transcript transcript) {
        for (int i = 0; i < stops.size(); i++) {
            TourStop stop = stops.get(i);
            transcript.heading("%d. %s".formatted(i + 1, stop.title()));
            long start = System.nanoTime();
            stop.show(transcript);
            transcript.seconds(System.nanoTime() - start);
        }
    }
}
