package io.fireq.engine.eval;

import io.fireq.engine.backend.Backend;
import io.fireq.engine.runtime.LoadedModel;
import java.util.Arrays;

/**
 * Whether a model answers as a reference does: along the reference's greedy continuation of a prompt, how often does the
 * model find the same token most likely? If it does throughout, its own greedy continuation is the same. Uses the models
 * directly, so nothing else may.
 */
public final class GreedyAgreement {
    private final LoadedModel loaded;
    private final LoadedModel reference;
    private final int maxTokens;

    /**
     * @param reference usually the unquantized model in float32
     * @param maxTokens most tokens of a continuation
     */
    public GreedyAgreement(LoadedModel loaded, LoadedModel reference, int maxTokens) {
        this.loaded = loaded;
        this.reference = reference;
        this.maxTokens = maxTokens;
    }

    /**
     * @param tokens   of the reference's continuation, with the one that ends it
     * @param agreeing of them, how many the model would choose as well
     */
    public record Result(int tokens, int agreeing) {
        /** Whether the model answers with the same text. */
        public boolean isSame() {
            return agreeing == tokens;
        }
    }

    /** @param prompt token ids */
    public Result compare(int[] prompt) {
        int[] continued = continueGreedily(prompt);
        return agreement(continued, prompt.length);
    }

    /** @return the prompt and what follows it */
    private int[] continueGreedily(int[] prompt) {
        int limit = Math.min(prompt.length + maxTokens, SingleSequence.capacity(reference));
        int[] tokens = Arrays.copyOf(prompt, limit);
        float[] logits = new float[reference.info().vocabSize()];
        int length = prompt.length;
        int computed = 0;
        while (length < limit) {
            for (; computed < length; computed = Math.min(length, computed + chunk(reference))) {
                int to = Math.min(length, computed + chunk(reference));
                Backend.Logits rows = reference.model().forward(SingleSequence.step(reference, tokens, computed, to,
                        new int[] {to - computed - 1}));
                rows.copyRow(0, logits);
            }
            tokens[length] = LogProbabilities.mostLikely(logits);
            length++;
            if (reference.isEos(tokens[length - 1])) {
                break;
            }
        }
        return Arrays.copyOf(tokens, length);
    }

    private Result agreement(int[] tokens, int promptLen) {
        float[] logits = new float[loaded.info().vocabSize()];
        int agreeing = 0;
        for (int from = 0; from < tokens.length - 1; from += chunk(loaded)) {
            int to = Math.min(tokens.length - 1, from + chunk(loaded));
            Backend.Logits rows = loaded.model().forward(SingleSequence.step(loaded, tokens, from, to, to - from));
            for (int i = Math.max(0, promptLen - 1 - from); i < to - from; i++) {
                rows.copyRow(i, logits);
                agreeing += LogProbabilities.mostLikely(logits) == tokens[from + i + 1] ? 1 : 0;
            }
        }
        return new Result(tokens.length - promptLen, agreeing);
    }

    private static int chunk(LoadedModel model) {
        return model.limits().maxBatchTokens();
    }
}
