package io.fireq.engine.api;

import java.util.OptionalLong;

/**
 * How the next token is drawn from the logits. Order: penalties, temperature, top-k, top-p, min-p, draw.
 *
 * @param temperature       0 takes the most likely token; otherwise logits are divided by it
 * @param topK              keep the k most likely tokens; 0 keeps all
 * @param topP              keep the most likely tokens whose probabilities reach this sum, in (0, 1]; 1 keeps all
 * @param minP              drop tokens less likely than this share of the most likely one, in [0, 1); 0 keeps all
 * @param repetitionPenalty positive logits of tokens seen in prompt or answer are divided by it, negative ones
 *                          multiplied; 1 is off
 * @param presencePenalty   subtracted from the logit of every token the answer already holds; 0 is off
 * @param frequencyPenalty  subtracted from a logit once for each time the answer holds its token; 0 is off
 * @param seed              same seed and request give the same tokens; empty draws a fresh one
 */
public record SamplingParams(float temperature, int topK, float topP, float minP, float repetitionPenalty,
        float presencePenalty, float frequencyPenalty, OptionalLong seed) {

    /** Always the most likely token. */
    public static final SamplingParams GREEDY = new SamplingParams(0, 0, 1, 0, 1, 0, 0, OptionalLong.empty());

    public SamplingParams {
        require(temperature >= 0 && temperature < Float.POSITIVE_INFINITY, "temperature", temperature, "0 or more");
        require(topK >= 0, "top-k", topK, "0 or more");
        require(topP > 0 && topP <= 1, "top-p", topP, "above 0 and at most 1");
        require(minP >= 0 && minP < 1, "min-p", minP, "0 or more and below 1");
        require(repetitionPenalty > 0 && repetitionPenalty < Float.POSITIVE_INFINITY, "repetition penalty",
                repetitionPenalty, "above 0");
        require(Math.abs(presencePenalty) <= 100, "presence penalty", presencePenalty, "between -100 and 100");
        require(Math.abs(frequencyPenalty) <= 100, "frequency penalty", frequencyPenalty, "between -100 and 100");
    }

    private static void require(boolean holds, String name, Number actual, String required) {
        if (!holds) {
            throw new IllegalArgumentException("Sampling: %s is %s; it must be %s".formatted(name, actual, required));
        }
    }

    /** These parameters with another temperature. */
    public SamplingParams withTemperature(float value) {
        return new SamplingParams(value, topK, topP, minP, repetitionPenalty, presencePenalty, frequencyPenalty, seed);
    }

    /** These parameters with a seed. */
    public SamplingParams withSeed(long value) {
        return new SamplingParams(temperature, topK, topP, minP, repetitionPenalty, presencePenalty, frequencyPenalty,
                OptionalLong.of(value));
    }
}
