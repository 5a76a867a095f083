package io.fireq.kernels.attention;

/** The kernels that compute attention, and the rule that says which of them may. */
public enum AttentionKernel {
    /** {@link Fp8PrefillAttention}. */
    FP8_PREFILL,
    /** {@link Int4KvDecodeAttention}. */
    INT4KV_DECODE,
    /** {@link PlainPagedAttention}. */
    PLAIN;

    /** Rows of a prefill tile; more query heads per KV head do not fit one. */
    private static final int MAX_HEADS_PER_KV = QueryTile.MAX_HEADS_PER_KV;
    private static final int RUN = Int4KvDecodeAttention.RUN;

    /** The kernel for chunks of prompts, and for decode tokens among them. */
    public static AttentionKernel forPrefill(PagedKvLayout layout, int nHeads) {
        return isFastShape(layout, nHeads) && nHeads / layout.nKvHeads() <= MAX_HEADS_PER_KV ? FP8_PREFILL : PLAIN;
    }

    /** The kernel for a batch whose sequences have one new token each, or a few. */
    public static AttentionKernel forDecode(PagedKvLayout layout, int nHeads) {
        return isFastShape(layout, nHeads) && layout.kvBlockSize() % RUN == 0 ? INT4KV_DECODE : PLAIN;
    }

    private static boolean isFastShape(PagedKvLayout layout, int nHeads) {
        return (layout.headDim() == 64 || layout.headDim() == 128) && layout.groups() == 1
                && nHeads % layout.nKvHeads() == 0;
    }
}
