package io.fireq.langchain4j;

import dev.langchain4j.exception.UnsupportedFeatureException;
import dev.langchain4j.model.chat.StreamingChatModel;
import dev.langchain4j.model.chat.request.ChatRequest;
import dev.langchain4j.model.chat.response.StreamingChatResponseHandler;

/**
 * A LangChain4j {@link StreamingChatModel} that runs inside this process. {@code chat} returns as soon as the engine has
 * the request. The handler's calls come from one thread of the engine; only a refused request is reported to
 * {@code onError} by the calling thread, and an {@link UnsupportedFeatureException} is thrown.
 *
 * <p>The streaming handle that every partial response carries cancels the generation; no call follows. An exception
 * thrown by the handler is given to its {@code onError}, and streaming goes on.
 */
public final class FireqStreamingChatModel extends FireqBaseChatModel implements StreamingChatModel {

    private FireqStreamingChatModel(Builder builder) {
        super(builder);
    }

    public static Builder builder() {
        return new Builder();
    }

    @Override
    public void doChat(ChatRequest request, StreamingChatResponseHandler handler) {
        GuardedHandler guarded = new GuardedHandler(handler);
        try {
            ChatRequestMapper.Mapped mapped = requests.map(request);
            StreamingAnswer answer = new StreamingAnswer(guarded, mapped.tools(), engine.model().name());
            answer.started(engine.submit(mapped.generation(), answer));
        } catch (UnsupportedFeatureException e) {
            throw e;
        } catch (RuntimeException e) {
            guarded.onError(FireqExceptionMapper.map(e));
        }
    }

    /** Builds a {@link FireqStreamingChatModel}. */
    public static final class Builder extends FireqBaseChatModel.Builder<Builder> {
        private Builder() {}

        @Override
        Builder self() {
            return this;
        }

        public FireqStreamingChatModel build() {
            return new FireqStreamingChatModel(this);
        }
    }
}
