package io.fireq.engine.api;

import java.util.List;

/** One loaded model. Weights are held once, however many threads and views use it. Safe for concurrent use. */
public interface FireqEngine extends AutoCloseable {

    ModelInfo model();

    BackendSelection backend();

    EngineStats stats();

    /**
     * Token ids of plain text. A special token that the text spells is encoded as ordinary characters, and no
     * beginning-of-text token is added.
     */
    int[] encode(String text);

    /**
     * Token ids of a plain text prompt: as {@link #encode}, after the beginning-of-text token where the model has one.
     */
    int[] encodePrompt(String text);

    /**
     * Token ids of a chat up to where the assistant's answer begins, in the model's own chat format.
     *
     * @throws UnsupportedModelException if the model has no chat template
     * @throws IllegalArgumentException  if the template refuses this order of turns
     */
    int[] encodeChat(List<ChatTurn> turns, List<ToolSpec> tools);

    /** The text of token ids; special tokens have none. */
    String decode(int[] tokens);

    /**
     * Accepts a request. The listener's calls come from another thread.
     *
     * @throws CapacityException        if prompt and one token do not fit the context or the KV cache, or the queue is full
     * @throws IllegalArgumentException if a prompt token is not in the vocabulary
     * @throws EngineClosedException    if the engine is closed or has failed
     */
    GenerationHandle submit(GenerationRequest request, GenerationListener listener);

    /** Ends all requests with an error, then frees the model. Idempotent. */
    @Override
    void close();
}
