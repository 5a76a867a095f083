package io.fireq.engine.api;

import java.util.concurrent.CompletableFuture;

/** A request that the engine has accepted. */
public interface GenerationHandle {
    /** Unique within the engine. */
    long id();

    /** Asks the engine to stop at the next step and to free the request's memory. Idempotent; any thread. */
    void cancel();

    /** Completes after the listener's last call, with its result or error. */
    CompletableFuture<GenerationResult> completion();
}
