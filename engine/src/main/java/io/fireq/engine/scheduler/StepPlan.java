package io.fireq.engine.scheduler;

import java.util.List;

/**
 * What one step computes.
 *
 * @param entries the sequences in batch order; empty when there is nothing to do
 */
public record StepPlan(List<Entry> entries) {

    public StepPlan {
        entries = List.copyOf(entries);
    }

    public boolean isEmpty() {
        return entries.isEmpty();
    }

    /** Token rows of the step. */
    public int nTokens() {
        return entries.stream().mapToInt(Entry::nTokens).sum();
    }

    /**
     * One sequence's share.
     *
     * @param sequence whose tokens
     * @param nTokens  how many of its known but not yet computed tokens, from {@code sequence.nComputed()} on
     * @param samples  whether the last of them is the newest known token, so that the next one can be sampled
     */
    public record Entry(Sequence sequence, int nTokens, boolean samples) {}
}
