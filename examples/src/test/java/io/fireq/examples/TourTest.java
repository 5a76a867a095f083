package io.fireq.examples;

import static org.assertj.core.api.Assertions.assertThat;

import dev.langchain4j.model.TokenCountEstimator;
import dev.langchain4j.model.chat.ChatModel;
import dev.langchain4j.model.chat.StreamingChatModel;
import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.io.StringReader;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;

class TourTest {
    private final ByteArrayOutputStream printed = new ByteArrayOutputStream();
    private final Transcript transcript =
            new Transcript(new PrintStream(printed, true, StandardCharsets.UTF_8), "ember");

    @Test
    void goes_through_all_stops_in_order() {
        try (AnnotationConfigApplicationContext context = new AnnotationConfigApplicationContext()) {
            context.registerBean(ChatModel.class, ScriptedModel::chat);
            context.registerBean(StreamingChatModel.class, ScriptedModel::streaming);
            context.registerBean(TokenCountEstimator.class, ScriptedModel::tokenCounts);
            context.register(PlainQuestion.class, StreamedStory.class, ChatWithMemory.class, PersonExtraction.class,
                    SentimentAnalysis.class, ToolUse.class, Conversation.class, Tour.class);
            context.refresh();

            context.getBean(Tour.class).show(transcript);
        }

        assertThat(printed().replaceAll("\\d+\\.\\d\\d s", "0.00 s")).isEqualTo("""

                1. A plain question
                   you     What is the capital of Germany?
                   ember   The capital of Germany is Berlin.
                           0.00 s

                2. The first paragraph of a story, token by token
                   you     Tell me a story about a dog.
                   ember   Tim and Lily
                           had a dog.
                           5 tokens, ended by STOP
                           0.00 s

                3. A chat with memory
                   you     My name is Klaus.
                   ember   Nice to meet you, Klaus!
                   you     What is my name?
                   ember   Your name is Klaus.
                           0.00 s

                4. A Java record from a sentence
                   you     Anna Smith, aged 31, works as a baker in Oslo.
                   result  Person[name=Anna, age=31]
                           0.00 s

                5. An enum from a sentence
                   you     The food was cold and the waiter rude.
                   result  NEGATIVE
                           0.00 s

                6. A Java method that the model calls
                   you     What is 17 plus 25?
                           calls add({"a": 17, "b": 25}), which returns 42
                   ember   17 plus 25 is 42.
                           0.00 s
                """);
    }

    @Test
    void talks_until_an_empty_line() {
        conversation("What is the capital of Germany?\n\nWhat is the capital of Germany?\n");

        assertThat(printed()).isEqualTo("   you     " + "   ember   The capital of Germany is Berlin.\n" + "   you     ");
    }

    @Test
    void talks_until_the_end_of_input_and_survives_a_failed_answer() {
        conversation("What is the meaning of life?");

        assertThat(printed()).contains("No answer is scripted").endsWith("   you     ");
    }

    private void conversation(String input) {
        new Conversation(ScriptedModel.streaming(), ScriptedModel.tokenCounts())
                .hold(new BufferedReader(new StringReader(input)), transcript);
    }

    private String printed() {
        return printed.toString(StandardCharsets.UTF_8).replace("\r\n", "\n");
    }
}
