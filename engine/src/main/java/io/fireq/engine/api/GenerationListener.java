package io.fireq.engine.api;

/**
 * Receives one request's output. All calls of a request come from one thread, in order, never the engine's own; exactly
 * one of {@link #onFinished} and {@link #onError} ends them. After {@link GenerationHandle#cancel} the ending call is
 * {@code onFinished} with {@link FinishReason#CANCELLED}, and no text follows the cancellation.
 */
public interface GenerationListener {
    /** Newly generated text, never empty and never a part of a character or of a stop sequence. */
    default void onText(String text) {}

    /** The request is complete. */
    void onFinished(GenerationResult result);

    /** The request failed. */
    void onError(Throwable error);
}
