package io.fireq.langchain4j;

import dev.langchain4j.model.chat.request.ChatRequestParameters;
import io.fireq.engine.api.SamplingParams;
import java.util.OptionalLong;

/** LangChain4j's parameters as the engine's sampling. */
final class SamplingMapper {
    private SamplingMapper() {}

    /**
     * @param fallback taken for every parameter that is null
     * @throws IllegalArgumentException if a value is out of range; it names the value and the range
     */
    static SamplingParams sampling(ChatRequestParameters parameters, SamplingParams fallback) {
        FireqChatRequestParameters own = parameters instanceof FireqChatRequestParameters fireq
                ? fireq
                : FireqChatRequestParameters.builder().build();
        return new SamplingParams(
                or(parameters.temperature(), fallback.temperature()),
                parameters.topK() == null ? fallback.topK() : parameters.topK(),
                or(parameters.topP(), fallback.topP()),
                or(own.minP(), fallback.minP()),
                or(own.repetitionPenalty(), fallback.repetitionPenalty()),
                or(parameters.presencePenalty(), fallback.presencePenalty()),
                or(parameters.frequencyPenalty(), fallback.frequencyPenalty()),
                own.seed() == null ? fallback.seed() : OptionalLong.of(own.seed()));
    }

    private static float or(Double value, float fallback) {
        return value == null ? fallback : value.floatValue();
    }
}
