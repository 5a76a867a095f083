package io.fireq.engine.sampling;

import io.fireq.engine.api.SamplingParams;
import java.util.Arrays;

/** Which tokens a sequence has seen, and how often the answer holds each. */
final class TokenCounts {
    private final boolean[] seen;
    private final int[] generated;
    private int[] distinct = new int[64];
    private int nDistinct;

    TokenCounts(int[] promptTokens, int vocabSize) {
        seen = new boolean[vocabSize];
        generated = new int[vocabSize];
        for (int token : promptTokens) {
            remember(token);
        }
    }

    void generated(int token) {
        remember(token);
        generated[token]++;
    }

    private void remember(int token) {
        if (!seen[token]) {
            seen[token] = true;
            if (nDistinct == distinct.length) {
                distinct = Arrays.copyOf(distinct, nDistinct * 2);
            }
            distinct[nDistinct++] = token;
        }
    }

    void penalize(float[] logits, SamplingParams params) {
        for (int i = 0; i < nDistinct; i++) {
            int token = distinct[i];
            float logit = logits[token];
            logit = logit > 0 ? logit / params.repetitionPenalty() : logit * params.repetitionPenalty();
            if (generated[token] > 0) {
                logit -= params.presencePenalty() + params.frequencyPenalty() * generated[token];
            }
            logits[token] = logit;
        }
    }
}
