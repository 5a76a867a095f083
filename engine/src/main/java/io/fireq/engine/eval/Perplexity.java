package io.fireq.engine.eval;

import io.fireq.engine.backend.Backend;
import io.fireq.engine.batch.Batch;
import io.fireq.engine.runtime.LoadedModel;
import java.util.Arrays;
import java.util.stream.IntStream;

/**
 * Perplexity of a model on a token stream: consecutive windows, each scored on its own from its second token on, the
 * exponential of the mean negative log-likelihood. Uses the model directly, so nothing else may.
 */
public final class Perplexity {
    private final LoadedModel loaded;
    private final int windowLen;

    /**
     * @param loaded    a model whose context and KV cache hold a window
     * @param windowLen tokens per window, at least 2
     */
    public Perplexity(LoadedModel loaded, int windowLen) {
        int capacity = Math.min(loaded.info().maxModelLen(),
                loaded.limits().nKvBlocks() * loaded.limits().kvBlockSize());
        if (windowLen < 2 || windowLen > capacity) {
            throw new IllegalArgumentException("Perplexity: a window of %,d tokens; it must have 2 to %,d, the model's context"
                    .formatted(windowLen, capacity));
        }
        this.loaded = loaded;
        this.windowLen = windowLen;
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
        double total = 0;
        Result result = null;
        for (int w = 0; w < nWindows; w++) {
            total += negativeLogLikelihood(Arrays.copyOfRange(tokens, w * windowLen, (w + 1) * windowLen));
            long scored = (w + 1L) * (windowLen - 1);
            result = new Result(w + 1, scored, Math.exp(total / scored));
            progress.windowDone(result, nWindows);
        }
        return result;
    }

    private double negativeLogLikelihood(int[] window) {
        int chunk = loaded.limits().maxBatchTokens();
        float[] logits = new float[loaded.info().vocabSize()];
        double total = 0;
        for (int from = 0; from < windowLen; from += chunk) {
            int to = Math.min(windowLen, from + chunk);
            int scored = Math.min(to, windowLen - 1) - from; // the last token predicts nothing inside the window
            Backend.Logits rows = loaded.model().forward(batch(window, from, to, scored));
            for (int i = 0; i < scored; i++) {
                rows.copyRow(i, logits);
                total += logSumExp(logits) - logits[window[from + i + 1]];
            }
        }
        return total;
    }

    private Batch batch(int[] window, int from, int to, int nLogits) {
        int[] positions = IntStream.range(from, to).toArray();
        int kvBlockSize = loaded.limits().kvBlockSize();
        int[] blocks = IntStream.range(0, (to + kvBlockSize - 1) / kvBlockSize).toArray();
        return new Batch(Arrays.copyOfRange(window, from, to), positions, positions, new int[] {0, to - from},
                new int[] {to}, new int[][] {blocks}, IntStream.range(0, nLogits).toArray());
    }

    private static double logSumExp(float[] logits) {
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

    /** Called after each window. */
    public interface Progress {
        void windowDone(Result soFar, int totalWindows);
    }

    /**
     * @param windows      windows scored
     * @param scoredTokens tokens scored in them
     * @param perplexity   over all of them
     */
    public record Result(int windows, long scoredTokens, double perplexity) {}
}
