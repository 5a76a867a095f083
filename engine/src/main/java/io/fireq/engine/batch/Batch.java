package io.fireq.engine.batch;

import io.fireq.engine.sampling.Sampler;

/**
 * The tokens of one step: a ragged batch of prefill chunks and decode tokens over the paged KV cache. Sequence
 * {@code s} owns the token rows {@code cuSeqlens[s] .. cuSeqlens[s+1]-1}; they are its newest tokens, so the last of
 * them is at position {@code kvLens[s] - 1}. Decode is the case of one row.
 *
 * @param tokenIds    {@code [nTokens]}
 * @param positions   {@code [nTokens]} position within the sequence, from 0
 * @param slotMapping {@code [nTokens]} KV slot that this token's K and V go to: {@code kvBlock · kvBlockSize + offset}
 * @param cuSeqlens   {@code [nSeqs+1]} first token row of each sequence, then nTokens
 * @param kvLens      {@code [nSeqs]} tokens in the KV cache of each sequence after this step
 * @param blockTables {@code [nSeqs][≥ ceil(kvLens/kvBlockSize)]} KV blocks of each sequence, in order
 * @param logitRows   {@code [nLogits]} token rows whose logits are wanted, ascending
 * @param samplers    {@code [nLogits]} how each of them becomes a token; empty where only the logits are wanted. Nobody
 *                    changes them before the step has ended
 */
public record Batch(int[] tokenIds, int[] positions, int[] slotMapping, int[] cuSeqlens, int[] kvLens,
        int[][] blockTables, int[] logitRows, Sampler[] samplers) {
    private static final Sampler[] NO_SAMPLERS = {};

    public Batch {
        int nTokens = tokenIds.length;
        int nSeqs = kvLens.length;
        if (positions.length != nTokens || slotMapping.length != nTokens || cuSeqlens.length != nSeqs + 1
                || blockTables.length != nSeqs || cuSeqlens[nSeqs] != nTokens) {
            throw new IllegalArgumentException(
                    "Inconsistent batch: %d tokens, %d positions, %d slots, %d sequences, %d offsets, %d block tables"
                            .formatted(nTokens, positions.length, slotMapping.length, nSeqs, cuSeqlens.length,
                                    blockTables.length));
        }
        if (samplers.length != 0 && samplers.length != logitRows.length) {
            throw new IllegalArgumentException("Inconsistent batch: %d samplers for the logits of %d rows"
                    .formatted(samplers.length, logitRows.length));
        }
    }

    /** A step of which only the logits are wanted. */
    public Batch(int[] tokenIds, int[] positions, int[] slotMapping, int[] cuSeqlens, int[] kvLens, int[][] blockTables,
            int[] logitRows) {
        this(tokenIds, positions, slotMapping, cuSeqlens, kvLens, blockTables, logitRows, NO_SAMPLERS);
    }

    /** Token rows in this step. */
    public int nTokens() {
        return tokenIds.length;
    }

    /** Sequences in this step. */
    public int nSeqs() {
        return kvLens.length;
    }
}
