package io.fireq.engine.backend.cuda;

import io.fireq.engine.backend.Backend;
import io.fireq.engine.batch.Batch;
import io.fireq.engine.model.LlamaModel;
import java.util.Arrays;
import java.util.stream.IntStream;

/** Drives a model directly: some sequences, each with KV blocks of its own. */
final class ModelRunner {
    private final LlamaModel model;
    private final LlamaModel.Limits limits;
    private final int blocksPerSeq;
    private final int[] lengths;

    ModelRunner(LlamaModel model, LlamaModel.Limits limits, int nSeqs) {
        this.model = model;
        this.limits = limits;
        this.blocksPerSeq = limits.nKvBlocks() / nSeqs;
        this.lengths = new int[nSeqs];
    }

    /** Appends tokens to one sequence, in chunks; logits of the last. */
    float[] append(int seq, int... tokens) {
        float[][] last = new float[1][];
        for (int from = 0; from < tokens.length; from += limits.maxBatchTokens()) {
            int to = Math.min(tokens.length, from + limits.maxBatchTokens());
            last = step(new int[] {seq}, new int[][] {Arrays.copyOfRange(tokens, from, to)});
        }
        return last[0];
    }

    /** Appends one token to each of the given sequences; logits of each. */
    float[][] decode(int[] seqs, int[] tokens) {
        return step(seqs, IntStream.of(tokens).mapToObj(token -> new int[] {token}).toArray(int[][]::new));
    }

    private float[][] step(int[] seqs, int[][] tokens) {
        int nTokens = Arrays.stream(tokens).mapToInt(t -> t.length).sum();
        int[] ids = new int[nTokens];
        int[] positions = new int[nTokens];
        int[] slots = new int[nTokens];
        int[] cuSeqlens = new int[seqs.length + 1];
        int[] kvLens = new int[seqs.length];
        int[][] tables = new int[seqs.length][];
        int[] logitRows = new int[seqs.length];
        int row = 0;
        for (int i = 0; i < seqs.length; i++) {
            int firstBlock = seqs[i] * blocksPerSeq;
            for (int token : tokens[i]) {
                int position = lengths[seqs[i]]++;
                ids[row] = token;
                positions[row] = position;
                slots[row++] = firstBlock * limits.kvBlockSize() + position;
            }
            cuSeqlens[i + 1] = row;
            kvLens[i] = lengths[seqs[i]];
            int nBlocks = (kvLens[i] + limits.kvBlockSize() - 1) / limits.kvBlockSize();
            tables[i] = IntStream.range(firstBlock, firstBlock + nBlocks).toArray();
            logitRows[i] = row - 1;
        }
        Backend.Logits logits = model.forward(new Batch(ids, positions, slots, cuSeqlens, kvLens, tables, logitRows));
        float[][] rows = new float[seqs.length][model.config().vocabSize()];
        for (int i = 0; i < seqs.length; i++) {
            logits.copyRow(i, rows[i]);
            int best = argMax(rows[i]);
            int found = logits.mostLikely(i).orElse(best);
            if (found != best) {
                throw new AssertionError("Row %d: the device's most likely token is %d, the row's is %d".formatted(i,
                        found, best));
            }
        }
        return rows;
    }

    static int argMax(float[] logits) {
        return IntStream.range(0, logits.length).reduce(0, (a, b) -> logits[b] > logits[a] ? b : a);
    }

    /** How far the largest logit is above the second. */
    static float margin(float[] logits) {
        int best = argMax(logits);
        float second = Float.NEGATIVE_INFINITY;
        for (int i = 0; i < logits.length; i++) {
            second = i == best ? second : Math.max(second, logits[i]);
        }
        return logits[best] - second;
    }

    /** Largest absolute difference of two rows. */
    static float largestDifference(float[] a, float[] b) {
        float largest = 0;
        for (int i = 0; i < a.length; i++) {
            largest = Math.max(largest, Math.abs(a[i] - b[i]));
        }
        return largest;
    }

    /** Root of the mean squared difference, relative to the root mean square of {@code wanted}; NaN where any is. */
    static double relativeError(float[] wanted, float[] actual) {
        double difference = 0;
        double magnitude = 0;
        for (int i = 0; i < wanted.length; i++) {
            difference += Math.pow((double) actual[i] - wanted[i], 2);
            magnitude += Math.pow(wanted[i], 2);
        }
        return Math.sqrt(difference / magnitude);
    }
}
