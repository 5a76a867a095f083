package io.fireq.engine.api;

/** The model is well-formed, but of a kind that FireQ does not run. */
public final class UnsupportedModelException extends FireqException {
    public UnsupportedModelException(String message) {
        super(message);
    }
}
