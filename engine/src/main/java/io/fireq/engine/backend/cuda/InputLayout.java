package io.fireq.engine.backend.cuda;

import io.fireq.engine.batch.Batch;
import java.nio.IntBuffer;
import java.util.Arrays;

/**
 * Where a batch's arrays lie in the one buffer that carries them to the device. All are i32, in this order, each from a
 * multiple of 16 bytes on:
 *
 * <pre>
 * tokenIds [nTokens]  positions [nTokens]  slots [nTokens]  cuSeqlens [nSeqs+1]  kvLens [nSeqs]  logitRows [nLogits]
 * blockTables [nSeqs, tableStride]
 * </pre>
 *
 * Steps of equal layout find every array at the same address, and their kernels have the same arguments: the layout is
 * the key of a recorded step.
 *
 * @param nTokens     token rows
 * @param nSeqs       sequences
 * @param nLogits     rows whose logits are wanted
 * @param tableStride KV blocks per row of blockTables, a power of two, so that it seldom changes as contexts grow
 */
record InputLayout(int nTokens, int nSeqs, int nLogits, int tableStride) {
    private static final int ALIGNMENT_INTS = 4;
    private static final int MIN_TABLE_STRIDE = 16;

    static InputLayout of(Batch batch) {
        int longest = Arrays.stream(batch.blockTables()).mapToInt(table -> table.length).max().orElse(0);
        int stride = MIN_TABLE_STRIDE;
        while (stride < longest) {
            stride = Math.multiplyExact(stride, 2);
        }
        return new InputLayout(batch.nTokens(), batch.nSeqs(), batch.logitRows().length, stride);
    }

    int tokenIds() {
        return 0;
    }

    int positions() {
        return align(nTokens);
    }

    int slots() {
        return 2 * align(nTokens);
    }

    int cuSeqlens() {
        return 3 * align(nTokens);
    }

    int kvLens() {
        return cuSeqlens() + align(nSeqs + 1);
    }

    int logitRows() {
        return kvLens() + align(nSeqs);
    }

    int blockTables() {
        return logitRows() + align(nLogits);
    }

    /** Ints of the whole buffer. */
    int size() {
        return Math.addExact(blockTables(), Math.multiplyExact(nSeqs, tableStride));
    }

    private static int align(int ints) {
        return Math.addExact(ints, ALIGNMENT_INTS - 1) / ALIGNMENT_INTS * ALIGNMENT_INTS;
    }

    /** Writes the arrays of a batch of this layout. */
    void write(Batch batch, IntBuffer target) {
        target.put(tokenIds(), batch.tokenIds());
        target.put(positions(), batch.positions());
        target.put(slots(), batch.slotMapping());
        target.put(cuSeqlens(), batch.cuSeqlens());
        target.put(kvLens(), batch.kvLens());
        target.put(logitRows(), batch.logitRows());
        for (int s = 0; s < nSeqs; s++) {
            target.put(blockTables() + s * tableStride, batch.blockTables()[s]);
        }
    }
}
