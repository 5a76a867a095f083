package io.fireq.kernels.attention;

/**
 * Layout of one layer's K or V in the paged cache; {@code attention/paged_kv.cuh} is its twin.
 *
 * <pre>
 * codes   [nKvBlocks, nKvHeads, kvBlockSize, ceil(headDim/2)] bytes, two codes 0..15 per byte, low nibble = even channel
 * params  [nKvBlocks, nKvHeads, kvBlockSize, headDim/groupSize] pairs of f16 (scale, zero): real = scale · (code - zero)
 * </pre>
 *
 * @param nKvBlocks   KV blocks in the pool
 * @param nKvHeads    K/V heads
 * @param headDim     channels per head
 * @param groupSize   channels that share scale and zero; a divisor of headDim
 * @param kvBlockSize tokens per KV block
 */
public record PagedKvLayout(int nKvBlocks, int nKvHeads, int headDim, int groupSize, int kvBlockSize) {
    private static final int PARAM_BYTES = 4;

    public PagedKvLayout {
        if (nKvBlocks < 1 || nKvHeads < 1 || headDim < 1 || groupSize < 1 || headDim % groupSize != 0 || kvBlockSize < 1) {
            throw new IllegalArgumentException(("PagedKvLayout: %d KV blocks of %d tokens, %d heads of %d channels in groups "
                    + "of %d; all must be 1 or more and groupSize a divisor of headDim")
                    .formatted(nKvBlocks, kvBlockSize, nKvHeads, headDim, groupSize));
        }
    }

    /** Groups per head. */
    public int groups() {
        return headDim / groupSize;
    }

    /** Bytes of one head's codes. */
    public int rowBytes() {
        return (headDim + 1) / 2;
    }

    /** (slot, head) vectors in the pool. */
    public long rows() {
        return Math.multiplyExact((long) nKvBlocks * nKvHeads, (long) kvBlockSize);
    }

    /** Index of one vector; times {@link #rowBytes} or {@link #groups} it addresses codes or params. */
    public long row(int slot, int kvHead) {
        return ((long) (slot / kvBlockSize) * nKvHeads + kvHead) * kvBlockSize + slot % kvBlockSize;
    }

    /** Bytes of all codes. */
    public long codeBytes() {
        return Math.multiplyExact(rows(), (long) rowBytes());
    }

    /** Bytes of all scales and zeros. */
    public long paramBytes() {
        return Math.multiplyExact(rows(), (long) groups() * PARAM_BYTES);
    }
}
