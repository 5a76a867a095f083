package io.fireq.engine.api;

/** There is no model where one was asked for. */
public final class ModelNotFoundException extends FireqException {
    public ModelNotFoundException(String message) {
        super(message);
    }
}
