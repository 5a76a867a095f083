package io.fireq.engine.eval;

/** What logits say of the next token. */
final class LogProbabilities {
    private LogProbabilities() {}

    /** {@code log Σ exp(logits)}. */
    static double logSumExp(float[] logits) {
        float max = Float.NEGATIVE_INFINITY;
        for (float logit : logits) {
            max = Math.max(max, logit);
        }
        double sum = 0;
        for (float logit : logits) {
            sum += Math.exp(logit - max);
        }
        return max + Math.log(sum);
    }

    /** The token with the largest logit, the lowest id among equals. */
    static int mostLikely(float[] logits) {
        int best = 0;
        for (int i = 1; i < logits.length; i++) {
            if (logits[i] > logits[best]) {
                best = i;
            }
        }
        return best;
    }

    /** Kullback-Leibler divergence {@code Σ p · log(p/q)} of a model's distribution q from a reference's p, in nats. */
    static double divergence(float[] referenceLogits, float[] logits) {
        double referenceSum = logSumExp(referenceLogits);
        double sum = logSumExp(logits);
        double divergence = 0;
        for (int i = 0; i < logits.length; i++) {
            double logP = referenceLogits[i] - referenceSum;
            divergence += Math.exp(logP) * (logP - (logits[i] - sum));
        }
        return divergence;
    }
}
