package io.fireq.engine.sampling;

import io.fireq.engine.api.SamplingParams;

/**
 * Draws the next tokens of one sequence from its logits: penalties, temperature, top-k, top-p, min-p, draw. Token
 * {@code i} of an answer depends on the parameters, the seed, i, the logits and the tokens before it, on nothing else.
 * Not thread-safe.
 */
public final class Sampler {
    private final SamplingParams params;
    private final long seed;
    private final TokenCounts counts;

    /**
     * @param params       how to draw
     * @param seed         used where {@code params} has none
     * @param promptTokens tokens that the repetition penalty counts as seen
     * @param vocabSize    length of the logits
     */
    public Sampler(SamplingParams params, long seed, int[] promptTokens, int vocabSize) {
        this.params = params;
        this.seed = params.seed().orElse(seed);
        boolean penalized = params.repetitionPenalty() != 1 || params.presencePenalty() != 0
                || params.frequencyPenalty() != 0;
        this.counts = penalized ? new TokenCounts(promptTokens, vocabSize) : null;
    }

    /** Whether {@link #sample} always returns the most likely token of the logits as they are, and keeps no count. */
    public boolean isGreedy() {
        return counts == null && (params.temperature() == 0 || params.topK() == 1);
    }

    /**
     * Draws a token.
     *
     * @param logits {@code [vocabSize]}; overwritten
     * @param index  position in the answer, from 0
     * @throws IllegalStateException if a logit is NaN or all are minus infinity: the model computed nonsense
     */
    public int sample(float[] logits, int index) {
        if (counts != null) {
            counts.penalize(logits, params);
        }
        int best = argMax(logits);
        int token = params.temperature() == 0 || params.topK() == 1 ? best : draw(logits, logits[best], index);
        if (counts != null) {
            counts.generated(token);
        }
        return token;
    }

    private static int argMax(float[] logits) {
        int best = -1;
        float highest = Float.NEGATIVE_INFINITY;
        for (int i = 0; i < logits.length; i++) {
            float logit = logits[i];
            if (logit > highest) {
                highest = logit;
                best = i;
            } else if (Float.isNaN(logit)) {
                throw new IllegalStateException("Sampling: the logit of token %d is NaN".formatted(i));
            }
        }
        if (best < 0 || highest == Float.POSITIVE_INFINITY) {
            throw new IllegalStateException("Sampling: the largest logit is %s".formatted(highest));
        }
        return best;
    }

    /** Turns logits into unnormalized probabilities, the largest being 1, keeps the allowed ones and draws. */
    private int draw(float[] logits, float maxLogit, int index) {
        double total = 0;
        for (int i = 0; i < logits.length; i++) {
            logits[i] = (float) Math.exp((logits[i] - maxLogit) / params.temperature());
            total += logits[i];
        }
        float uniform = SeededRandom.uniform(seed, index);
        if (params.topK() == 0 && params.topP() == 1 && params.minP() == 0) {
            return pick(logits, uniform * total);
        }
        return new Nucleus(logits, total).pick(params, uniform);
    }

    private static int pick(float[] weights, double target) {
        int last = 0;
        for (int i = 0; i < weights.length; i++) {
            if (weights[i] > 0) {
                target -= weights[i];
                last = i;
                if (target < 0) {
                    return i;
                }
            }
        }
        return last; // rounding of the sum
    }
}
