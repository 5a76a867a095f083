package io.fireq.engine.api;

import java.time.Duration;

/**
 * A finished generation.
 *
 * @param text          all text that was emitted
 * @param tokens        generated token ids, an end token included
 * @param promptTokens  tokens of the prompt
 * @param finishReason  why it ended
 * @param timeToFirst   from submission to the first token; zero where there was none
 * @param totalTime     from submission to the end
 */
public record GenerationResult(String text, int[] tokens, int promptTokens, FinishReason finishReason,
        Duration timeToFirst, Duration totalTime) {}
