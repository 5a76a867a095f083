package io.fireq.engine.bench;

import io.fireq.engine.backend.Backend;
import io.fireq.engine.batch.Batch;
import io.fireq.engine.model.LlamaModel;
import io.fireq.engine.sampling.Sampler;
import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * Times the forward pass alone, without tokenizer and sampling: prefill of one or more prompts, then decode steps of
 * the same sequences at growing context. Token ids are random; every repetition computes the same work.
 */
public final class ForwardBench {
    private final LlamaModel model;
    private final LlamaModel.Limits limits;
    private final int vocabSize;
    private final SplittableRandom random = new SplittableRandom(1);

    /**
     * @param model  a loaded model that nothing else uses
     * @param limits what it was loaded for
     */
    public ForwardBench(LlamaModel model, LlamaModel.Limits limits) {
        this.model = model;
        this.limits = limits;
        this.vocabSize = model.config().vocabSize();
    }

    /** KV blocks that a workload needs. */
    public static int kvBlocks(Workload workload, int kvBlockSize) {
        return workload.nSeqs() * blocksPerSequence(workload, kvBlockSize);
    }

    private static int blocksPerSequence(Workload workload, int kvBlockSize) {
        return (workload.promptLen() + workload.nDecode() + kvBlockSize - 1) / kvBlockSize;
    }

    /**
     * Runs the workload once to warm up and to check the logits, then measures.
     *
     * @param betweenSteps called before every step; throwing ends the bench
     * @throws IllegalStateException if a logit is not finite
     */
    public Result run(Workload workload, int repetitions, Runnable betweenSteps) {
        once(workload, betweenSteps, true);
        double[] prefillSeconds = new double[repetitions];
        double[] decodeSeconds = new double[repetitions];
        for (int i = 0; i < repetitions; i++) {
            double[] seconds = once(workload, betweenSteps, false);
            prefillSeconds[i] = seconds[0];
            decodeSeconds[i] = seconds[1];
        }
        double prefill = median(prefillSeconds);
        double decode = median(decodeSeconds);
        int prompts = workload.nSeqs() * workload.promptLen();
        return new Result(workload, prefill * 1e3, prompts / prefill,
                workload.nDecode() == 0 ? 0 : workload.nSeqs() * workload.nDecode() / decode);
    }

    private double[] once(Workload workload, Runnable betweenSteps, boolean check) {
        float[] logits = new float[vocabSize];
        long start = System.nanoTime();
        for (int s = 0; s < workload.nSeqs(); s++) {
            for (int from = 0; from < workload.promptLen(); from += limits.maxBatchTokens()) {
                betweenSteps.run();
                int to = Math.min(workload.promptLen(), from + limits.maxBatchTokens());
                await(model.forward(batch(workload, s, s + 1, from, to)), 0, logits, check);
            }
        }
        long prefilled = System.nanoTime();
        for (int step = 0; step < workload.nDecode(); step++) {
            betweenSteps.run();
            int position = workload.promptLen() + step;
            await(model.forward(batch(workload, 0, workload.nSeqs(), position, position + 1)), workload.nSeqs() - 1,
                    logits, check);
        }
        return new double[] {(prefilled - start) / 1e9, (System.nanoTime() - prefilled) / 1e9};
    }

    /** Waits for a step as greedy sampling does: a device hands out a token id, not a row. */
    private void await(Backend.Logits logits, int row, float[] buffer, boolean check) {
        if (!check) {
            logits.sample();
            return;
        }
        logits.copyRow(row, buffer);
        for (int i = 0; check && i < vocabSize; i++) {
            if (!Float.isFinite(buffer[i])) {
                throw new IllegalStateException("Bench: the logit of token %d in row %d is %s; the model computed nonsense"
                        .formatted(i, row, buffer[i]));
            }
        }
    }

    /** Positions from..to-1 of sequences first..last-1, logits for the last position of each. */
    private Batch batch(Workload workload, int first, int last, int from, int to) {
        int nSeqs = last - first;
        int perSeq = to - from;
        int blocks = blocksPerSequence(workload, limits.kvBlockSize());
        int[] tokenIds = random.ints(nSeqs * perSeq, 0, vocabSize).toArray();
        int[] positions = new int[nSeqs * perSeq];
        int[] slots = new int[nSeqs * perSeq];
        int[][] blockTables = new int[nSeqs][];
        for (int s = 0; s < nSeqs; s++) {
            int firstBlock = (first + s) * blocks;
            blockTables[s] = IntStream.range(firstBlock, firstBlock + blocks).toArray();
            for (int i = 0; i < perSeq; i++) {
                positions[s * perSeq + i] = from + i;
                slots[s * perSeq + i] = firstBlock * limits.kvBlockSize() + from + i;
            }
        }
        int[] cuSeqlens = IntStream.rangeClosed(0, nSeqs).map(s -> s * perSeq).toArray();
        int[] kvLens = new int[nSeqs];
        Arrays.fill(kvLens, to);
        int[] logitRows = IntStream.range(0, nSeqs).map(s -> (s + 1) * perSeq - 1).toArray();
        return new Batch(tokenIds, positions, slots, cuSeqlens, kvLens, blockTables, logitRows,
                Stream.generate(Sampler::greedy).limit(nSeqs).toArray(Sampler[]::new));
    }

    private static double median(double[] values) {
        double[] sorted = values.clone();
        Arrays.sort(sorted);
        int middle = sorted.length / 2;
        return sorted.length % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
    }

    /**
     * @param nSeqs     sequences, prefilled one after the other and decoded together
     * @param promptLen tokens of each prompt
     * @param nDecode   decode steps; 0 measures prefill only
     */
    public record Workload(int nSeqs, int promptLen, int nDecode) {
        public Workload {
            if (nSeqs < 1 || promptLen < 1 || nDecode < 0) {
                throw new IllegalArgumentException("Bench: %d sequences, prompts of %d tokens, %d decode steps; "
                        .formatted(nSeqs, promptLen, nDecode) + "the first two must be 1 or more, the last 0 or more");
            }
        }
    }

    /**
     * Medians over the repetitions.
     *
     * @param workload               what ran
     * @param prefillMillis          all prompts
     * @param prefillTokensPerSecond prompt tokens
     * @param decodeTokensPerSecond  generated tokens, all sequences together; 0 where none were
     */
    public record Result(Workload workload, double prefillMillis, double prefillTokensPerSecond,
            double decodeTokensPerSecond) {}
}
