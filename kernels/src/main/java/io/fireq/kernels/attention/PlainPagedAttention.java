package io.fireq.kernels.attention;

import static io.fireq.kernels.cuda.KernelArgs.Type.ADDRESS;
import static io.fireq.kernels.cuda.KernelArgs.Type.INT;

import io.fireq.kernels.catalog.KernelConfig;
import io.fireq.kernels.catalog.KernelSpec;
import io.fireq.kernels.cuda.CudaContext;
import io.fireq.kernels.cuda.CudaStream;
import io.fireq.kernels.cuda.DeviceBuffer;
import io.fireq.kernels.cuda.KernelArgs;
import io.fireq.kernels.cuda.KernelFunction;
import io.fireq.kernels.cuda.LaunchShape;
import java.util.List;

/**
 * Causal attention over the paged cache for any shape: prefill chunks and decode tokens alike, any head and group size.
 * Slow, and the definition that fast kernels are compared with.
 */
public final class PlainPagedAttention {
    private static final String NAME = "PlainPagedAttention";
    private static final int THREADS = 128;
    private static final KernelSpec SPEC = new KernelSpec("attention/plain_paged_attention.cuh", "plain_paged_attention",
            KernelConfig.empty().with("THREADS", THREADS), false);

    private final KernelFunction kernel;
    private final int maxSmemBytes;
    private final KernelArgs args = new KernelArgs(ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS,
            ADDRESS, ADDRESS, INT, INT, INT, INT, INT, INT, INT);

    public PlainPagedAttention(CudaContext context) {
        this.kernel = context.kernel(SPEC);
        this.maxSmemBytes = context.device().smemBytesPerCta();
    }

    /** The kernels to build. */
    public static List<KernelSpec> specs() {
        return List.of(SPEC);
    }

    /**
     * Queues the attention of {@code nTokens} tokens.
     *
     * @param query       {@code [nTokens, nHeads, headDim]} e4m3
     * @param queryScale  {@code [nTokens, nHeads]} f32
     * @param cache       K and V, which hold positions 0..positions[t] of each token's sequence
     * @param positions   {@code [nTokens]} i32
     * @param cuSeqlens   {@code [nSeqs + 1]} i32, first token row of each sequence
     * @param blockTables {@code [nSeqs, maxKvBlocks]} i32, KV blocks of each sequence in order
     * @param out         {@code [nTokens, nHeads, headDim]} bf16
     */
    public void launch(CudaStream stream, DeviceBuffer query, DeviceBuffer queryScale, PagedKv cache,
            DeviceBuffer positions, DeviceBuffer cuSeqlens, DeviceBuffer blockTables, int nTokens, int nSeqs,
            int maxKvBlocks, int nHeads, DeviceBuffer out) {
        PagedKvLayout layout = cache.layout();
        if (nHeads % layout.nKvHeads() != 0) {
            throw new IllegalArgumentException("%s: nHeads=%d is not a multiple of nKvHeads=%d".formatted(NAME, nHeads,
                    layout.nKvHeads()));
        }
        int smemBytes = smemBytes(layout);
        if (smemBytes > maxSmemBytes) {
            throw new IllegalArgumentException(("%s: headDim=%d in groups of %d needs %,d bytes of shared memory, the device "
                    + "has %,d; use larger groups").formatted(NAME, layout.headDim(), layout.groupSize(), smemBytes,
                    maxSmemBytes));
        }
        long values = (long) nTokens * nHeads * layout.headDim();
        args.set(0, query.require(NAME, "query [nTokens, nHeads, headDim]", values, 1));
        args.set(1, queryScale.require(NAME, "queryScale [nTokens, nHeads]", (long) nTokens * nHeads, 4));
        args.set(2, cache.kCodes()).set(3, cache.kParams()).set(4, cache.vCodes()).set(5, cache.vParams());
        args.set(6, positions.require(NAME, "positions [nTokens]", nTokens, 4));
        args.set(7, cuSeqlens.require(NAME, "cuSeqlens [nSeqs + 1]", nSeqs + 1L, 4));
        args.set(8, blockTables.require(NAME, "blockTables [nSeqs, maxKvBlocks]", (long) nSeqs * maxKvBlocks, 4));
        args.set(9, out.require(NAME, "out [nTokens, nHeads, headDim]", values, 2));
        args.set(10, nSeqs).set(11, nHeads).set(12, layout.nKvHeads()).set(13, layout.headDim());
        args.set(14, layout.groupSize()).set(15, layout.kvBlockSize()).set(16, maxKvBlocks);
        kernel.launch(stream, LaunchShape.of(nTokens, THREADS).grid(nTokens, nHeads, 1).smem(smemBytes), args);
    }

    /** Shared memory of one CTA, as the smem map of the kernel says. */
    static int smemBytes(PagedKvLayout layout) {
        int floats = 2 * layout.headDim() + layout.groups() + 2 * layout.groups() * THREADS;
        return Math.addExact(8 * THREADS, Math.multiplyExact(4, floats));
    }
}
