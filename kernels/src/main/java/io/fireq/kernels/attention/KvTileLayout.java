package io.fireq.kernels.attention;

/**
 * Record of one KV head's run of tokens, expanded for the tensor core; {@code attention/kv_tile.cuh} is its twin and
 * describes it.
 *
 * @param headDim channels per head, 64 or 128
 * @param tokens  tokens of a record, 64 or 128
 */
record KvTileLayout(int headDim, int tokens) {
    private static final int ALIGNMENT = 1024;
    private static final int BOUND_BYTES = 16;

    /** Where V starts. */
    int vOffset() {
        return tokens * headDim;
    }

    /** Where the scales of K start. */
    int kScalesOffset() {
        return 2 * vOffset();
    }

    /** Where the scales of V start. */
    int vScalesOffset() {
        return kScalesOffset() + tokens * Float.BYTES;
    }

    /** Where the bound of V's scales is. */
    int boundOffset() {
        return vScalesOffset() + tokens * Float.BYTES;
    }

    /** Distance of records in bytes. */
    int strideBytes() {
        return (boundOffset() + BOUND_BYTES + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    }
}
