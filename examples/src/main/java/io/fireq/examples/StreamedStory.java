package io.fireq.examples;

import dev.langchain4j.model.chat.StreamingChatModel;
import dev.langchain4j.model.chat.request.ChatRequestParameters;
import dev.langchain4j.model.chat.response.ChatResponse;
import dev.langchain4j.service.AiServices;
import dev.langchain4j.service.TokenStream;
import dev.langchain4j.service.UserMessage;
import java.util.concurrent.CompletableFuture;
import org.springframework.core.annotation.Order;
import org.springframework.stereotype.Component;

@Component
@Order(2)
final class StreamedStory implements TourStop {
    interface Storyteller {
        TokenStream tell(@UserMessage String request, ChatRequestParameters parameters);
    }

    private static final ChatRequestParameters FIRST_PARAGRAPH =
            ChatRequestParameters.builder().stopSequences("\n").maxOutputTokens(200).build();

    private final Storyteller storyteller;

    StreamedStory(StreamingChatModel model) {
        storyteller = AiServices.create(Storyteller.class, model);
    }

    @Override
    public String title() {
        return "The first paragraph of a story, token by token";
    }

    @Override
    public void show(Transcript transcript) {
        String request = "Tell me a story about a dog.";
        transcript.asks(request);
        transcript.beginsAnswer();
        CompletableFuture<ChatResponse> end = new CompletableFuture<>();
        storyteller.tell(request, FIRST_PARAGRAPH)
                .onPartialResponse(transcript::continuesAnswer)
                .onCompleteResponse(end::complete)
                .onError(end::completeExceptionally)
                .start();
        ChatResponse response = end.join();
        transcript.endsAnswer();
        transcript.notes("%d tokens, ended by %s"
                .formatted(response.tokenUsage().outputTokenCount(), response.finishReason()));
    }
}
