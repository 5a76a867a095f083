package io.fireq.engine.api;

import java.util.List;

/**
 * One prompt and how to continue it.
 *
 * @param promptTokens  token ids, at least one
 * @param sampling      how tokens are drawn
 * @param maxNewTokens  most tokens to generate; 0 means as many as fit into the context
 * @param stopSequences generation ends before any of these strings would be emitted; none of their text is
 * @param ignoreEos     keep generating past the model's end tokens; for benchmarks
 */
public record GenerationRequest(int[] promptTokens, SamplingParams sampling, int maxNewTokens,
        List<String> stopSequences, boolean ignoreEos) {

    public GenerationRequest {
        promptTokens = promptTokens.clone();
        stopSequences = List.copyOf(stopSequences);
        if (promptTokens.length == 0) {
            throw new IllegalArgumentException("Generation request: the prompt has no tokens; it needs at least one");
        }
        if (maxNewTokens < 0) {
            throw new IllegalArgumentException(
                    "Generation request: max new tokens is %d; it must be 1 or more, or 0 for no limit"
                            .formatted(maxNewTokens));
        }
        if (stopSequences.stream().anyMatch(String::isEmpty)) {
            throw new IllegalArgumentException("Generation request: a stop sequence is empty; remove it");
        }
    }

    /** A request without stop sequences. */
    public GenerationRequest(int[] promptTokens, SamplingParams sampling, int maxNewTokens) {
        this(promptTokens, sampling, maxNewTokens, List.of(), false);
    }
}
