package io.fireq.engine.scheduler;

import io.fireq.engine.kv.KvCacheManager;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;

/**
 * Decides which tokens each step computes. There are no phases: every sequence has tokens known and tokens computed, and
 * each step lets computed catch up with known within a token budget. A prompt longer than the budget is thereby
 * prefilled in chunks, and decode is the case of one missing token.
 *
 * <p>Running sequences come first, oldest first, then waiting ones are admitted. If the KV pool runs dry, the youngest
 * running sequence gives up its blocks and waits to be recomputed; the oldest always proceeds, so every accepted
 * sequence ends. Not thread-safe; the engine loop owns it.
 */
public final class Scheduler {
    private final KvCacheManager kvCache;
    private final int maxBatchTokens;
    private final int maxRunning;
    private final Deque<Sequence> waiting = new ArrayDeque<>();
    private final List<Sequence> running = new ArrayList<>();

    /**
     * @param kvCache        gives the KV blocks
     * @param maxBatchTokens most token rows per step
     * @param maxRunning     most sequences per step
     */
    public Scheduler(KvCacheManager kvCache, int maxBatchTokens, int maxRunning) {
        this.kvCache = kvCache;
        this.maxBatchTokens = maxBatchTokens;
        this.maxRunning = maxRunning;
    }

    /** Adds a sequence; it must fit the KV pool on its own. */
    public void add(Sequence sequence) {
        waiting.addLast(sequence);
    }

    /** Plans the next step and reserves its KV blocks. */
    public StepPlan plan() {
        List<StepPlan.Entry> entries = new ArrayList<>();
        int budget = maxBatchTokens;
        for (int i = 0; i < running.size() && budget > 0; i++) {
            Sequence sequence = running.get(i);
            int nTokens = Math.min(sequence.nKnown() - sequence.nComputed(), budget);
            if (!reserveByPreempting(sequence, nTokens)) {
                break; // the sequence itself was the youngest and has been preempted
            }
            entries.add(entry(sequence, nTokens));
            budget -= nTokens;
        }
        while (budget > 0 && running.size() < maxRunning && !waiting.isEmpty()) {
            Sequence sequence = waiting.peekFirst();
            int nTokens = Math.min(sequence.nKnown(), budget);
            // A whole prompt is reserved at once, so that admitting it never preempts what runs already.
            if (!kvCache.reserve(sequence.blockTable(), sequence.nKnown())) {
                break;
            }
            running.add(waiting.removeFirst());
            entries.add(entry(sequence, nTokens));
            budget -= nTokens;
        }
        return new StepPlan(entries);
    }

    private boolean reserveByPreempting(Sequence sequence, int nTokens) {
        while (!kvCache.reserve(sequence.blockTable(), sequence.nComputed() + nTokens)) {
            Sequence youngest = running.remove(running.size() - 1);
            kvCache.release(youngest.blockTable());
            youngest.restart();
            waiting.addFirst(youngest);
            if (youngest == sequence) {
                return false;
            }
        }
        return true;
    }

    private static StepPlan.Entry entry(Sequence sequence, int nTokens) {
        return new StepPlan.Entry(sequence, nTokens, sequence.nComputed() + nTokens == sequence.nKnown());
    }

    /**
     * Records that a step was computed.
     *
     * @param sampled {@code [entries that sample]} the next token of each, in plan order
     */
    public void commit(StepPlan plan, int[] sampled) {
        int next = 0;
        for (StepPlan.Entry entry : plan.entries()) {
            entry.sequence().advance(entry.nTokens());
            if (entry.samples()) {
                entry.sequence().append(sampled[next++]);
            }
        }
    }

    /** Removes a sequence, wherever it is, and frees its KV blocks. */
    public void remove(Sequence sequence) {
        if (!running.remove(sequence)) {
            waiting.remove(sequence);
        }
        kvCache.release(sequence.blockTable());
    }

    public int nRunning() {
        return running.size();
    }

    public int nWaiting() {
        return waiting.size();
    }
}
