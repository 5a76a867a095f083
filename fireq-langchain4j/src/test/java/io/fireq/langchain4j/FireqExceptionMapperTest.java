package io.fireq.langchain4j;

import static org.assertj.core.api.Assertions.assertThat;

import dev.langchain4j.exception.InternalServerException;
import dev.langchain4j.exception.InvalidRequestException;
import dev.langchain4j.exception.ModelNotFoundException;
import dev.langchain4j.exception.RateLimitException;
import dev.langchain4j.exception.UnsupportedFeatureException;
import io.fireq.engine.api.CapacityException;
import io.fireq.engine.api.EngineClosedException;
import io.fireq.engine.api.FireqException;
import io.fireq.engine.api.ModelFormatException;
import io.fireq.engine.api.UnsupportedModelException;
import java.nio.file.Path;
import java.util.concurrent.ExecutionException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class FireqExceptionMapperTest {
    static Arguments[] pairs() {
        return new Arguments[] {
            Arguments.of(new CapacityException(CapacityException.Resource.CONTEXT, "m"), InvalidRequestException.class),
            Arguments.of(new CapacityException(CapacityException.Resource.QUEUE, "m"), RateLimitException.class),
            Arguments.of(new io.fireq.engine.api.ModelNotFoundException("m"), ModelNotFoundException.class),
            Arguments.of(new UnsupportedModelException("m"), UnsupportedFeatureException.class),
            Arguments.of(new ModelFormatException(Path.of("f"), -1, "m"), InternalServerException.class),
            Arguments.of(new EngineClosedException("m"), InternalServerException.class),
            Arguments.of(new FireqException("m"), InternalServerException.class),
            Arguments.of(new IllegalArgumentException("m"), InvalidRequestException.class),
            Arguments.of(new IllegalStateException("m"), InternalServerException.class),
            Arguments.of(new OutOfMemoryError("m"), InternalServerException.class),
        };
    }

    @ParameterizedTest
    @MethodSource("pairs")
    void maps_each_exception_and_keeps_message_and_cause(Throwable from, Class<?> to) {
        RuntimeException mapped = FireqExceptionMapper.map(from);

        assertThat(mapped).isExactlyInstanceOf(to).hasMessage(from.getMessage()).hasCause(from);
    }

    @Test
    void unwraps_what_a_future_wraps() {
        Throwable cause = new CapacityException(CapacityException.Resource.QUEUE, "full");

        assertThat(FireqExceptionMapper.map(new ExecutionException(cause)))
                .isExactlyInstanceOf(RateLimitException.class).hasCause(cause);
    }

    @Test
    void leaves_exceptions_of_langchain4j_as_they_are() {
        RuntimeException own = new UnsupportedFeatureException("named");

        assertThat(FireqExceptionMapper.map(own)).isSameAs(own);
    }

    @Test
    void names_the_class_of_an_exception_without_message() {
        assertThat(FireqExceptionMapper.map(new NullPointerException())).hasMessageContaining("NullPointerException");
    }
}
