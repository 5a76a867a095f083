package io.fireq.engine.sampling;

import io.fireq.engine.api.SamplingParams;

/**
 * Draws the next tokens of one sequence from its logits: penalties, temperature, top-k, top-p, min-p, draw. A token
 * depends on the parameters, the seed, the logits and the tokens before it, on nothing else; drawing changes nothing,
 * {@link #accept} moves on. This is the definition that devices follow to the bit. Not thread-safe.
 */
public final class Sampler {
    private final SamplingParams params;
    private final long seed;
    private final TokenCounts counts;
    private int index;

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

    /** One that takes the most likely token. */
    public static Sampler greedy() {
        return new Sampler(SamplingParams.GREEDY, 0, new int[0], 0);
    }

    /**
     * The next token, or -1 where there is none because the model computed nonsense: a logit is NaN or the largest is
     * infinite.
     *
     * @param logits {@code [vocabSize]}; penalties overwrite them
     */
    public int sample(float[] logits) {
        penalize(logits);
        int best = argMax(logits);
        if (best < 0 || params.temperature() == 0 || params.topK() == 1) {
            return best;
        }
        Weighting weighting = new Weighting(logits[best], params.temperature());
        Cut kept = Cut.NONE;
        if (params.topK() > 0 && params.topK() < logits.length) {
            kept = kept.topK(logits, params.topK());
        }
        if (params.topP() < 1) {
            kept = kept.topP(logits, weighting, params.topP());
        }
        return kept.draw(logits, weighting.atLeast(params.minP()), SeededRandom.bits(seed, index));
    }

    private void penalize(float[] logits) {
        if (counts != null) {
            counts.penalize(logits, params);
        }
    }

    /** The lowest id of the largest logit, or -1. */
    private static int argMax(float[] logits) {
        int best = -1;
        float highest = Float.NEGATIVE_INFINITY;
        for (int i = 0; i < logits.length; i++) {
            if (logits[i] > highest) {
                highest = logits[i];
                best = i;
            } else if (Float.isNaN(logits[i])) {
                return -1;
            }
        }
        return highest == Float.POSITIVE_INFINITY ? -1 : best;
    }

    /** Takes note of the token that the sequence has got. */
    public void accept(int token) {
        index++;
        if (counts != null) {
            counts.generated(token);
        }
    }

    /** Why {@link #sample} found no token in these logits. */
    public IllegalStateException nonsense(float[] logits) {
        penalize(logits);
        float highest = Float.NEGATIVE_INFINITY;
        for (int i = 0; i < logits.length; i++) {
            if (Float.isNaN(logits[i])) {
                return new IllegalStateException("Sampling: the logit of token %d is NaN".formatted(i));
            }
            highest = Math.max(highest, logits[i]);
        }
        return new IllegalStateException("Sampling: the largest logit is %s".formatted(highest));
    }

    // For backends that draw on a device.

    /** How to draw; its seed is not {@link #seed}. */
    public SamplingParams params() {
        return params;
    }

    /** With {@link #index}, determines the random bits. */
    public long seed() {
        return seed;
    }

    /** Tokens accepted so far: the next one's position in the answer. */
    public int index() {
        return index;
    }

    /** Number of different tokens whose logits are penalized. */
    public int nPenalties() {
        return counts == null ? 0 : counts.nSeen();
    }

    /** {@code [≥ nPenalties, 2]} a token, then how often the answer holds it; null without penalties. */
    public int[] penalties() {
        return counts == null ? null : counts.pairs();
    }
}
