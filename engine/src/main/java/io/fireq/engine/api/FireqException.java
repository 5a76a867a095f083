package io.fireq.engine.api;

/** Base of every exception that FireQ throws on purpose. The message says what was tried, what is wrong and what to do. */
public class FireqException extends RuntimeException {
    public FireqException(String message) {
        super(message);
    }

    public FireqException(String message, Throwable cause) {
        super(message, cause);
    }
}
