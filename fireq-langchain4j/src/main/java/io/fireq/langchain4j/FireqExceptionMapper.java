package io.fireq.langchain4j;

import dev.langchain4j.exception.InternalServerException;
import dev.langchain4j.exception.InvalidRequestException;
import dev.langchain4j.exception.LangChain4jException;
import dev.langchain4j.exception.ModelNotFoundException;
import dev.langchain4j.exception.RateLimitException;
import dev.langchain4j.exception.UnsupportedFeatureException;
import io.fireq.engine.api.CapacityException;
import io.fireq.engine.api.UnsupportedModelException;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;

/**
 * The one place where the engine's exceptions become LangChain4j's. Which of them LangChain4j considers worth a retry
 * decides the choice: a full queue and a failed engine are, a prompt that is too long is not.
 */
final class FireqExceptionMapper {
    private FireqExceptionMapper() {}

    /** The exception to throw in place of this one; message and cause are kept. */
    static RuntimeException map(Throwable error) {
        if ((error instanceof ExecutionException || error instanceof CompletionException) && error.getCause() != null) {
            return map(error.getCause());
        }
        if (error instanceof LangChain4jException mapped) {
            return mapped;
        }
        String message = error.getMessage();
        if (error instanceof CapacityException capacity) {
            return switch (capacity.resource()) {
                case CONTEXT -> new InvalidRequestException(message, error);
                case QUEUE -> new RateLimitException(message, error);
            };
        }
        if (error instanceof io.fireq.engine.api.ModelNotFoundException) {
            return new ModelNotFoundException(message, error);
        }
        if (error instanceof UnsupportedModelException) {
            UnsupportedFeatureException unsupported = new UnsupportedFeatureException(message);
            unsupported.initCause(error);
            return unsupported;
        }
        if (error instanceof IllegalArgumentException) {
            return new InvalidRequestException(message, error);
        }
        return new InternalServerException(message != null ? message : error.toString(), error);
    }
}
