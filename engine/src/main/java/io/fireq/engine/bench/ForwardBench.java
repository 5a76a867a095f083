package io.fireq.engine.bench;

import io.fireq.engine.backend.Backend;
import io.fireq.engine.backend.Timing;
import io.fireq.engine.batch.Batch;
import io.fireq.engine.kv.KvCacheManager;
import io.fireq.engine.model.LlamaModel;
import io.fireq.engine.runtime.BatchAssembler;
import io.fireq.engine.sampling.Sampler;
import io.fireq.engine.scheduler.Scheduler;
import io.fireq.engine.scheduler.Sequence;
import io.fireq.engine.scheduler.StepPlan;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/**
 * Times the engine's steps without what surrounds them: plan, assemble, forward, sample and commit are those of the
 * engine, requests are random tokens and nobody listens.
 */
public final class ForwardBench {
    /** Until a decode step is recorded and its buffers have their size. */
    private static final int WARM_STEPS = 4;
    private static final double DEVICE_MILLIS = 100;
    /** Steps, or time, after which the JVM has compiled what the host does in one. */
    private static final int COMPILING_STEPS = 256;
    private static final long COMPILING_NANOS = 500_000_000;

    private final LlamaModel model;
    private final Backend backend;
    private final LlamaModel.Limits limits;
    private final Runnable betweenSteps;

    /**
     * @param model        a loaded model that nothing else uses
     * @param backend      what it runs on
     * @param limits       what it was loaded for
     * @param betweenSteps called before every step; throwing ends the bench
     */
    public ForwardBench(LlamaModel model, Backend backend, LlamaModel.Limits limits, Runnable betweenSteps) {
        this.model = model;
        this.backend = backend;
        this.limits = limits;
        this.betweenSteps = betweenSteps;
    }

    /**
     * Some sequences of one length.
     *
     * @param nSeqs     sequences
     * @param promptLen tokens of each prompt
     */
    public record Workload(int nSeqs, int promptLen) {
        public Workload {
            if (nSeqs < 1 || promptLen < 1) {
                throw new IllegalArgumentException("Bench: %d prompts of %d tokens; both must be 1 or more"
                        .formatted(nSeqs, promptLen));
            }
        }

        /** Tokens of KV cache that it takes with so many decode steps, in whole blocks. */
        public int kvTokens(int steps, int maxBatchTokens, int kvBlockSize) {
            int perSeq = (maxLen(steps, maxBatchTokens) + kvBlockSize - 1) / kvBlockSize * kvBlockSize;
            return Math.multiplyExact(nSeqs, perSeq);
        }

        /** Most tokens of a sequence after so many decode steps. */
        public int maxLen(int steps, int maxBatchTokens) {
            if (steps == 0) {
                return promptLen + 1;
            }
            // Prompts that are done get a token in each step that still prefills others.
            long prefillSteps = 1 + (long) nSeqs * promptLen / Math.max(1, maxBatchTokens - nSeqs);
            return Math.toIntExact(promptLen + prefillSteps + WARM_STEPS + steps + 1);
        }

        @Override
        public String toString() {
            return "%d × %d".formatted(nSeqs, promptLen);
        }
    }

    /**
     * Prompts from nothing to the first token of each, as requests for one token.
     *
     * @throws IllegalStateException if a logit is not finite
     */
    public Measurement prefill(Workload workload, int repetitions) {
        prefillOnce(workload, true);
        double[] micros = new double[repetitions];
        for (int i = 0; i < repetitions; i++) {
            long start = System.nanoTime();
            prefillOnce(workload, false);
            micros[i] = (System.nanoTime() - start) / 1e3;
        }
        return new Measurement(Part.PREFILL, "%dx%d".formatted(workload.nSeqs(), workload.promptLen()),
                workload.toString(), Timing.of(micros), 0, 0, workload.nSeqs() * workload.promptLen(), 0);
    }

    private void prefillOnce(Workload workload, boolean check) {
        Steps steps = new Steps(workload, 0);
        while (!steps.isPrefilled(true)) {
            steps.next(check);
        }
    }

    /**
     * Steps of one token per sequence, from the prompts' length on; prefilling them is not timed. The device's share is
     * that of the last step, computed again and again.
     */
    public Measurement decode(Workload workload, int nSteps) {
        warmUpHost(workload);
        Steps steps = new Steps(workload, nSteps);
        while (!steps.isPrefilled(false)) {
            steps.next(true);
        }
        for (int i = 0; i < WARM_STEPS; i++) {
            steps.next(false);
        }
        double[] micros = new double[nSteps];
        for (int i = 0; i < nSteps; i++) {
            long start = System.nanoTime();
            steps.next(false);
            micros[i] = (System.nanoTime() - start) / 1e3;
        }
        Timing device = backend.hardware().isPresent()
                ? backend.stopwatch().steps(model::recompute, DEVICE_MILLIS)
                : new Timing(0, 0, 0, 0);
        return new Measurement(Part.DECODE, "%dx%d".formatted(workload.nSeqs(), workload.promptLen()),
                "%d at %d".formatted(workload.nSeqs(), workload.promptLen()), Timing.of(micros), 0, 0, workload.nSeqs(),
                device.micros());
    }

    /** Steps of as many sequences, which take no more of the KV cache than the prompts will. */
    private void warmUpHost(Workload workload) {
        int nSteps = Math.min(COMPILING_STEPS, workload.promptLen());
        Steps steps = new Steps(new Workload(workload.nSeqs(), 1), nSteps);
        long start = System.nanoTime();
        for (int i = 0; i < nSteps && System.nanoTime() - start < COMPILING_NANOS; i++) {
            steps.next(false);
        }
    }

    /** The engine's round over sequences of its own. */
    private final class Steps {
        private final Scheduler scheduler;
        private final BatchAssembler assembler;
        private final Sampler sampler = Sampler.greedy();
        private final List<Sequence> sequences = new ArrayList<>();

        Steps(Workload workload, int nSteps) {
            int maxLen = workload.maxLen(nSteps, limits.maxBatchTokens());
            KvCacheManager kvCache = new KvCacheManager(limits.nKvBlocks(), limits.kvBlockSize());
            scheduler = new Scheduler(kvCache, limits.maxBatchTokens(), workload.nSeqs());
            assembler = new BatchAssembler(kvCache);
            SplittableRandom random = new SplittableRandom(1);
            for (int s = 0; s < workload.nSeqs(); s++) {
                Sequence sequence = new Sequence(s,
                        random.ints(workload.promptLen(), 0, model.config().vocabSize()).toArray(), maxLen);
                sequences.add(sequence);
                scheduler.add(sequence);
            }
        }

        void next(boolean check) {
            betweenSteps.run();
            StepPlan plan = scheduler.plan();
            Batch batch = assembler.assemble(plan, sequence -> sampler);
            Backend.Logits logits = model.forward(batch);
            int[] tokens = logits.sample();
            for (int i = 0; i < tokens.length; i++) {
                if (tokens[i] < 0 || check) {
                    requireFinite(logits, i);
                }
            }
            scheduler.commit(plan, tokens);
        }

        private void requireFinite(Backend.Logits logits, int row) {
            float[] values = new float[model.config().vocabSize()];
            logits.copyRow(row, values);
            for (int i = 0; i < values.length; i++) {
                if (!Float.isFinite(values[i])) {
                    throw new IllegalStateException("Bench: the logit of token %d in row %d is %s; the model computed "
                            .formatted(i, row, values[i]) + "nonsense");
                }
            }
        }

        /** Whether every sequence has its first token; those that have it leave if {@code forGood}. */
        boolean isPrefilled(boolean forGood) {
            for (Sequence sequence : List.copyOf(sequences)) {
                if (forGood && sequence.nGenerated() > 0) {
                    scheduler.remove(sequence);
                    sequences.remove(sequence);
                }
            }
            return sequences.stream().allMatch(sequence -> sequence.nGenerated() > 0);
        }
    }
}
