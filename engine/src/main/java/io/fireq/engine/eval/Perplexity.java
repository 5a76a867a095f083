package io.fireq.engine.eval;

import io.fireq.engine.backend.Backend;
import io.fireq.engine.runtime.LoadedModel;
import java.util.Arrays;

/**
 * Perplexity of a model on a token stream: consecutive windows, each scored on its own from its second token on, the
 * exponential of the mean negative log-likelihood. With a reference beside it also how far the model is from that:
 * mean Kullback-Leibler divergence of its next-token distribution, and the share of positions at which both find the
 * same token most likely. Uses the models directly, so nothing else may.
 */
public final class Perplexity {
    private final LoadedModel loaded;
    private final LoadedModel reference;
    private final int windowLen;

    /**
     * @param loaded    a model whose context and KV cache hold a window
     * @param windowLen tokens per window, at least 2
     */
    public Perplexity(LoadedModel loaded, int windowLen) {
        this(loaded, null, windowLen);
    }

    /**
     * @param reference what to compare with, usually the unquantized model in float32; null for nothing
     * @throws IllegalArgumentException if a window does not fit, or the vocabularies differ
     */
    public Perplexity(LoadedModel loaded, LoadedModel reference, int windowLen) {
        requireFits(loaded, windowLen);
        if (reference != null) {
            requireFits(reference, windowLen);
            if (reference.info().vocabSize() != loaded.info().vocabSize()) {
                throw new IllegalArgumentException(
                        "Perplexity: %s has a vocabulary of %,d tokens, the reference %s one of %,d; name its original"
                                .formatted(loaded.info().name(), loaded.info().vocabSize(), reference.info().name(),
                                        reference.info().vocabSize()));
            }
        }
        this.loaded = loaded;
        this.reference = reference;
        this.windowLen = windowLen;
    }

    private static void requireFits(LoadedModel model, int windowLen) {
        int capacity = SingleSequence.capacity(model);
        if (windowLen < 2 || windowLen > capacity) {
            throw new IllegalArgumentException("Perplexity: a window of %,d tokens; it must have 2 to %,d, the model's context"
                    .formatted(windowLen, capacity));
        }
    }

    /**
     * Scores whole windows only; a rest shorter than a window is left out.
     *
     * @param tokens     the stream, beginning-of-text token included
     * @param maxWindows most windows to score; 0 scores all
     * @param progress   told after each window
     * @throws IllegalArgumentException if the stream is shorter than a window
     */
    public Result evaluate(int[] tokens, int maxWindows, Progress progress) {
        int nWindows = tokens.length / windowLen;
        if (nWindows == 0) {
            throw new IllegalArgumentException("Perplexity: the text has %,d tokens, a window needs %,d"
                    .formatted(tokens.length, windowLen));
        }
        if (maxWindows > 0) {
            nWindows = Math.min(nWindows, maxWindows);
        }
        Sums sums = new Sums();
        Result result = null;
        for (int w = 0; w < nWindows; w++) {
            addWindow(Arrays.copyOfRange(tokens, w * windowLen, (w + 1) * windowLen), sums);
            result = sums.result(w + 1, (w + 1L) * (windowLen - 1), reference != null);
            progress.windowDone(result, nWindows);
        }
        return result;
    }

    private void addWindow(int[] window, Sums sums) {
        int chunk = loaded.limits().maxBatchTokens();
        if (reference != null) {
            chunk = Math.min(chunk, reference.limits().maxBatchTokens());
        }
        float[] logits = new float[loaded.info().vocabSize()];
        float[] referenceLogits = new float[logits.length];
        for (int from = 0; from < windowLen; from += chunk) {
            int to = Math.min(windowLen, from + chunk);
            int scored = Math.min(to, windowLen - 1) - from; // the last token predicts nothing inside the window
            Backend.Logits rows = loaded.model().forward(SingleSequence.step(loaded, window, from, to, scored));
            Backend.Logits referenceRows = reference == null
                    ? null
                    : reference.model().forward(SingleSequence.step(reference, window, from, to, scored));
            for (int i = 0; i < scored; i++) {
                rows.copyRow(i, logits);
                sums.negativeLogLikelihood += LogProbabilities.logSumExp(logits) - logits[window[from + i + 1]];
                if (referenceRows != null) {
                    referenceRows.copyRow(i, referenceLogits);
                    sums.compare(referenceLogits, logits);
                }
            }
        }
    }

    private static final class Sums {
        private double negativeLogLikelihood;
        private double divergence;
        private long agreeing;

        private void compare(float[] referenceLogits, float[] logits) {
            divergence += LogProbabilities.divergence(referenceLogits, logits);
            agreeing += LogProbabilities.mostLikely(referenceLogits) == LogProbabilities.mostLikely(logits) ? 1 : 0;
        }

        private Result result(int windows, long scored, boolean compared) {
            return new Result(windows, scored, Math.exp(negativeLogLikelihood / scored),
                    compared ? divergence / scored : Double.NaN, compared ? (double) agreeing / scored : Double.NaN);
        }
    }

    /** Called after each window. */
    public interface Progress {
        void windowDone(Result soFar, int totalWindows);
    }

    /**
     * @param windows      windows scored
     * @param scoredTokens tokens scored in them
     * @param perplexity   over all of them
     * @param divergence   mean Kullback-Leibler divergence from the reference in nats; NaN without one
     * @param agreement    share of positions where both find the same token most likely; NaN without a reference
     */
    public record Result(int windows, long scoredTokens, double perplexity, double divergence, double agreement) {}
}
