package io.fireq.engine.backend.cuda;

import io.fireq.engine.api.SamplingParams;
import io.fireq.engine.backend.Backend;
import io.fireq.engine.batch.Batch;
import io.fireq.engine.model.LlamaModel;
import io.fireq.engine.sampling.Sampler;
import java.util.Arrays;
import java.util.OptionalLong;
import java.util.stream.IntStream;

/**
 * Drives a model directly: some sequences, each with KV blocks of its own. Every step also draws tokens, which must be
 * those that the host draws from the same logits; they are then forgotten.
 */
final class ModelRunner {
    private final LlamaModel model;
    private final LlamaModel.Limits limits;
    private final int blocksPerSeq;
    private final int[] lengths;
    private final Sampler[] samplers;

    ModelRunner(LlamaModel model, LlamaModel.Limits limits, int nSeqs) {
        this.model = model;
        this.limits = limits;
        this.blocksPerSeq = limits.nKvBlocks() / nSeqs;
        this.lengths = new int[nSeqs];
        this.samplers = IntStream.range(0, nSeqs).mapToObj(this::sampler).toArray(Sampler[]::new);
    }

    /** Sequences draw in different ways, the first one greedily. */
    private Sampler sampler(int seq) {
        return seq == 0
                ? Sampler.greedy()
                : new Sampler(new SamplingParams(0.5f * seq, seq % 2 * 20, 0.9f, 0.01f, 1 + 0.1f * (seq % 3), 0, 0,
                        OptionalLong.of(seq)), 0, new int[] {seq}, model.config().vocabSize());
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
        Sampler[] samplers = IntStream.of(seqs).mapToObj(seq -> this.samplers[seq]).toArray(Sampler[]::new);
        Backend.Logits logits = model.forward(
                new Batch(ids, positions, slots, cuSeqlens, kvLens, tables, logitRows, samplers));
        int[] drawn = logits.sample();
        float[][] rows = new float[seqs.length][model.config().vocabSize()];
        for (int i = 0; i < seqs.length; i++) {
            logits.copyRow(i, rows[i]);
            int wanted = samplers[i].sample(rows[i].clone());
            if (drawn[i] != wanted) {
                throw new AssertionError("Row %d: the backend draws token %d, its sampler %d".formatted(i, drawn[i],
                        wanted));
            }
            samplers[i].accept(wanted);
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
