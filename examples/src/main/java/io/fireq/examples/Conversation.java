package io.fireq.examples;

import dev.langchain4j.memory.chat.TokenWindowChatMemory;
import dev.langchain4j.model.TokenCountEstimator;
import dev.langchain4j.model.chat.StreamingChatModel;
import dev.langchain4j.model.chat.response.ChatResponse;
import dev.langchain4j.service.AiServices;
import dev.langchain4j.service.TokenStream;
import java.io.BufferedReader;
import java.io.Console;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import org.springframework.stereotype.Component;

/** A chat with whoever sits at the terminal, streamed and with memory. */
@Component
final class Conversation {
    interface Assistant {
        TokenStream chat(String message);
    }

    private final Assistant assistant;

    Conversation(StreamingChatModel model, TokenCountEstimator tokenCounts) {
        assistant = AiServices.builder(Assistant.class)
                .streamingChatModel(model)
                .chatMemory(TokenWindowChatMemory.withMaxTokens(500, tokenCounts))
                .build();
    }

    void holdIfThereIsATerminal(Transcript transcript) {
        Console console = System.console();
        if (console != null) {
            transcript.heading("Your turn. An empty line ends it.");
            hold(new BufferedReader(console.reader()), transcript);
        }
    }

    void hold(BufferedReader input, Transcript transcript) {
        for (String message = read(input, transcript); !message.isBlank(); message = read(input, transcript)) {
            try {
                answer(message, transcript);
            } catch (CompletionException e) {
                transcript.notes(e.getCause().getMessage());
            }
        }
    }

    private void answer(String message, Transcript transcript) {
        transcript.beginsAnswer();
        CompletableFuture<ChatResponse> end = new CompletableFuture<>();
        assistant.chat(message)
                .onPartialResponse(transcript::continuesAnswer)
                .onCompleteResponse(end::complete)
                .onError(end::completeExceptionally)
                .start();
        try {
            end.join();
        } finally {
            transcript.endsAnswer();
        }
    }

    private static String read(BufferedReader input, Transcript transcript) {
        try {
            transcript.prompts();
            String line = input.readLine();
            return line == null ? "" : line;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
