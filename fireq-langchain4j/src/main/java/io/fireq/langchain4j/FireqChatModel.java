package io.fireq.langchain4j;

import dev.langchain4j.exception.LangChain4jException;
import dev.langchain4j.model.chat.ChatModel;
import dev.langchain4j.model.chat.request.ChatRequest;
import dev.langchain4j.model.chat.response.ChatResponse;
import io.fireq.engine.api.GenerationHandle;
import io.fireq.engine.api.GenerationListener;
import io.fireq.engine.api.GenerationResult;
import java.util.concurrent.ExecutionException;

/**
 * A LangChain4j {@link ChatModel} that runs inside this process. Safe for concurrent use: requests from several threads
 * are batched by the engine. A caller that is interrupted while it waits cancels its generation.
 */
public final class FireqChatModel extends FireqBaseChatModel implements ChatModel {

    private FireqChatModel(Builder builder) {
        super(builder);
    }

    public static Builder builder() {
        return new Builder();
    }

    @Override
    public ChatResponse doChat(ChatRequest request) {
        try {
            ChatRequestMapper.Mapped mapped = requests.map(request);
            GenerationHandle handle = engine.submit(mapped.generation(), NO_CALLBACKS);
            return ResponseMapper.response(await(handle), mapped.tools(), engine.model().name());
        } catch (RuntimeException | ExecutionException e) {
            throw FireqExceptionMapper.map(e);
        }
    }

    private static GenerationResult await(GenerationHandle handle) throws ExecutionException {
        try {
            return handle.completion().get();
        } catch (InterruptedException e) {
            handle.cancel();
            Thread.currentThread().interrupt();
            throw new LangChain4jException(
                    "Chat: the calling thread was interrupted while it waited for the answer; the generation was cancelled",
                    e);
        }
    }

    /** The answer is taken from the completion, so the calls are of no interest. */
    private static final GenerationListener NO_CALLBACKS = new GenerationListener() {
        @Override
        public void onFinished(GenerationResult result) {}

        @Override
        public void onError(Throwable error) {}
    };

    /** Builds a {@link FireqChatModel}. */
    public static final class Builder extends FireqBaseChatModel.Builder<Builder> {
        private Builder() {}

        @Override
        Builder self() {
            return this;
        }

        public FireqChatModel build() {
            return new FireqChatModel(this);
        }
    }
}
