package io.fireq.engine.api;

/** The engine was closed, or failed and cannot serve any more. */
public final class EngineClosedException extends FireqException {
    public EngineClosedException(String message) {
        super(message);
    }

    public EngineClosedException(String message, Throwable cause) {
        super(message, cause);
    }
}
