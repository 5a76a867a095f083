package io.fireq.engine.runtime;

import io.fireq.engine.api.CapacityException;
import io.fireq.engine.api.EngineClosedException;
import io.fireq.engine.api.EngineOptions;
import io.fireq.engine.api.EngineStats;
import io.fireq.engine.api.FinishReason;
import io.fireq.engine.backend.Backend;
import io.fireq.engine.kv.KvCacheManager;
import io.fireq.engine.scheduler.Scheduler;
import io.fireq.engine.scheduler.Sequence;
import io.fireq.engine.scheduler.StepPlan;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Queue;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The one thread that owns model, backend and scheduler. Each round: plan, assemble, forward, sample, commit, publish.
 * An exception of the device or model fails the engine: every request ends with it and none is accepted after.
 */
final class EngineLoop implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(EngineLoop.class);

    private final LoadedModel loaded;
    private final KvCacheManager kvCache;
    private final Scheduler scheduler;
    private final BatchAssembler assembler;
    private final int maxWaiting;
    private final Thread thread = new Thread(this::run, "fireq-engine");
    private final Map<Sequence, Generation> active = new LinkedHashMap<>();

    private final Object lock = new Object();
    // Guarded by lock.
    private final Queue<Generation> inbox = new ArrayDeque<>();
    private EngineClosedException closed;
    private EngineStats stats;

    private long finished;
    private long promptTokens;
    private long generatedTokens;

    EngineLoop(LoadedModel loaded, KvCacheManager kvCache, EngineOptions options) {
        this.loaded = loaded;
        this.kvCache = kvCache;
        this.scheduler = new Scheduler(kvCache, loaded.limits().maxBatchTokens(), options.maxRunning());
        this.assembler = new BatchAssembler(kvCache);
        this.maxWaiting = options.maxWaiting();
        this.stats = snapshot();
        thread.setDaemon(true);
    }

    void start() {
        thread.start();
    }

    EngineStats stats() {
        synchronized (lock) {
            return new EngineStats(stats.running(), stats.waiting() + inbox.size(), stats.finished(),
                    stats.promptTokens(), stats.generatedTokens(), stats.kvBlocksFree(), stats.kvBlocksTotal(),
                    stats.kvBlockSize());
        }
    }

    void submit(Generation generation) {
        synchronized (lock) {
            if (closed != null) {
                throw new EngineClosedException(closed.getMessage(), closed.getCause());
            }
            int waiting = inbox.size() + stats.waiting();
            if (waiting >= maxWaiting) {
                throw new CapacityException(CapacityException.Resource.QUEUE,
                        "%,d requests wait already and max-waiting is %,d; try again later, or raise max-waiting"
                                .formatted(waiting, maxWaiting));
            }
            inbox.add(generation);
            lock.notifyAll();
        }
    }

    /** Ends the thread after its current step and frees the model. */
    @Override
    public void close() {
        synchronized (lock) {
            if (closed == null) {
                closed = new EngineClosedException("The engine is closed; open a new one");
            }
            lock.notifyAll();
        }
        boolean interrupted = false;
        while (thread.isAlive() && Thread.currentThread() != thread) {
            try {
                thread.join();
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    private void run() {
        try {
            while (awaitWork()) {
                step();
            }
        } catch (RuntimeException | Error e) {
            LOG.error("The engine failed and accepts no more requests", e);
            synchronized (lock) {
                if (closed == null) {
                    closed = new EngineClosedException("The engine has failed: " + e.getMessage(), e);
                }
            }
        } finally {
            endAll();
            loaded.close();
        }
    }

    /** Takes new requests over, waiting for one if there is nothing else to do; false once the engine is closed. */
    private boolean awaitWork() {
        synchronized (lock) {
            while (closed == null && inbox.isEmpty() && active.isEmpty()) {
                try {
                    lock.wait();
                } catch (InterruptedException e) {
                    closed = new EngineClosedException("The engine's thread was interrupted", e);
                }
            }
            for (Generation generation = inbox.poll(); generation != null; generation = inbox.poll()) {
                active.put(generation.sequence(), generation);
                scheduler.add(generation.sequence());
            }
            stats = snapshot();
            return closed == null;
        }
    }

    private void step() {
        removeCancelled();
        StepPlan plan = scheduler.plan();
        if (!plan.isEmpty()) {
            Backend.Logits logits = loaded.model()
                    .forward(assembler.assemble(plan, sequence -> active.get(sequence).sampler()));
            int[] sampled = sample(plan, logits);
            count(plan);
            scheduler.commit(plan, sampled);
            publish(plan, sampled);
        }
        synchronized (lock) {
            stats = snapshot();
        }
    }

    private void removeCancelled() {
        for (Generation generation : List.copyOf(active.values())) {
            if (generation.isCancelled()) {
                remove(generation);
                generation.finish(FinishReason.CANCELLED);
            }
        }
    }

    /** The next token of each sequence that samples; one without a token fails, and its batch mates go on. */
    private int[] sample(StepPlan plan, Backend.Logits logits) {
        int[] sampled = logits.sample();
        int next = 0;
        for (StepPlan.Entry entry : plan.entries()) {
            if (entry.samples() && sampled[next++] < 0) {
                float[] row = new float[loaded.info().vocabSize()];
                logits.copyRow(next - 1, row);
                Generation generation = active.get(entry.sequence());
                remove(generation);
                generation.fail(generation.sampler().nonsense(row));
            }
        }
        return sampled;
    }

    private void count(StepPlan plan) {
        for (StepPlan.Entry entry : plan.entries()) {
            Sequence sequence = entry.sequence();
            promptTokens += Math.max(0, Math.min(entry.nTokens(), sequence.promptLen() - sequence.nComputed()));
            generatedTokens += entry.samples() ? 1 : 0;
        }
    }

    private void publish(StepPlan plan, int[] sampled) {
        int next = 0;
        for (StepPlan.Entry entry : plan.entries()) {
            if (entry.samples()) {
                int token = sampled[next++];
                Generation generation = active.get(entry.sequence());
                if (generation != null && generation.accept(token)) {
                    remove(generation);
                }
            }
        }
    }

    private void remove(Generation generation) {
        scheduler.remove(generation.sequence());
        active.remove(generation.sequence());
        finished++;
    }

    private void endAll() {
        EngineClosedException reason;
        List<Generation> unfinished;
        synchronized (lock) {
            reason = closed;
            unfinished = new ArrayList<>(active.values());
            unfinished.addAll(inbox);
            inbox.clear();
        }
        active.clear();
        for (Generation generation : unfinished) {
            generation.fail(new EngineClosedException(
                    "The request ended early: " + reason.getMessage(), reason.getCause()));
        }
    }

    private EngineStats snapshot() {
        return new EngineStats(scheduler.nRunning(), scheduler.nWaiting(), finished, promptTokens, generatedTokens,
                kvCache.freeBlocks(), kvCache.totalBlocks(), kvCache.kvBlockSize());
    }
}
