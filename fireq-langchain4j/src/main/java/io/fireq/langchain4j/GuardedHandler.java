package io.fireq.langchain4j;

import dev.langchain4j.model.chat.response.ChatResponse;
import dev.langchain4j.model.chat.response.CompleteToolCall;
import dev.langchain4j.model.chat.response.PartialResponse;
import dev.langchain4j.model.chat.response.PartialResponseContext;
import dev.langchain4j.model.chat.response.StreamingChatResponseHandler;
import dev.langchain4j.model.chat.response.StreamingHandle;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Calls a user's handler and lets nothing that it throws escape: an exception from one of its methods goes to its
 * {@code onError}, and one from there to the log.
 */
final class GuardedHandler {
    private static final Logger LOG = LoggerFactory.getLogger(FireqStreamingChatModel.class);

    private final StreamingChatResponseHandler handler;

    GuardedHandler(StreamingChatResponseHandler handler) {
        this.handler = handler;
    }

    void onPartialResponse(String text, StreamingHandle handle) {
        guard(() -> handler.onPartialResponse(new PartialResponse(text), new PartialResponseContext(handle)));
    }

    void onCompleteToolCall(CompleteToolCall call) {
        guard(() -> handler.onCompleteToolCall(call));
    }

    void onCompleteResponse(ChatResponse response) {
        guard(() -> handler.onCompleteResponse(response));
    }

    void onError(Throwable error) {
        try {
            handler.onError(error);
        } catch (Throwable thrown) {
            LOG.warn("The streaming handler's onError threw; nothing else is told of it", thrown);
        }
    }

    private void guard(Runnable call) {
        try {
            call.run();
        } catch (Throwable thrown) {
            onError(thrown);
        }
    }
}
