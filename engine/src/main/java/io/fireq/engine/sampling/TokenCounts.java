package io.fireq.engine.sampling;

import io.fireq.engine.api.SamplingParams;
import java.util.Arrays;

/** Which tokens a sequence has seen, and how often the answer holds each. */
final class TokenCounts {
    /** By token: its place in {@code pairs}, plus 1; 0 where it was not seen. */
    private final int[] places;
    private int[] pairs = new int[128];
    private int nSeen;

    TokenCounts(int[] promptTokens, int vocabSize) {
        places = new int[vocabSize];
        for (int token : promptTokens) {
            remember(token);
        }
    }

    void generated(int token) {
        pairs[remember(token) + 1]++;
    }

    /** Number of different tokens. */
    int nSeen() {
        return nSeen;
    }

    /** {@code [≥ nSeen, 2]} a token, then how often the answer holds it; in order of appearance. */
    int[] pairs() {
        return pairs;
    }

    private int remember(int token) {
        if (places[token] == 0) {
            if (2 * nSeen == pairs.length) {
                pairs = Arrays.copyOf(pairs, pairs.length * 2);
            }
            pairs[2 * nSeen] = token;
            places[token] = 2 * nSeen++ + 1;
        }
        return places[token] - 1;
    }

    void penalize(float[] logits, SamplingParams params) {
        for (int i = 0; i < nSeen; i++) {
            int token = pairs[2 * i];
            int count = pairs[2 * i + 1];
            float logit = logits[token];
            logit = logit > 0 ? logit / params.repetitionPenalty() : logit * params.repetitionPenalty();
            if (count > 0) {
                logit -= params.presencePenalty() + params.frequencyPenalty() * count;
            }
            logits[token] = logit;
        }
    }
}
