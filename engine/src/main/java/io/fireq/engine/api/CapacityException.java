package io.fireq.engine.api;

/** A request is larger than the model's context, the KV cache or the queue can take. */
public final class CapacityException extends FireqException {
    /** What ran out. */
    public enum Resource {
        /** The prompt, or prompt and answer, exceed the context. Sending the same request again cannot help. */
        CONTEXT,
        /** Too many requests wait already. The same request may be taken later. */
        QUEUE
    }

    private final Resource resource;

    public CapacityException(Resource resource, String message) {
        super(message);
        this.resource = resource;
    }

    public Resource resource() {
        return resource;
    }
}
