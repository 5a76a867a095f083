package io.fireq.kernels.elementwise;

import static io.fireq.kernels.cuda.KernelArgs.Type.ADDRESS;
import static io.fireq.kernels.cuda.KernelArgs.Type.INT;

import io.fireq.kernels.attention.PagedKv;
import io.fireq.kernels.attention.PagedKvLayout;
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
 * What happens between the qkv layer and attention: rotary embedding and smoothing of Q and K, Q to e4m3 per head, K and
 * V to INT4 into the paged cache.
 */
public final class RopeAppendKv {
    private static final String NAME = "RopeAppendKv";
    private static final int THREADS = 256;
    private static final int WARPS = THREADS / 32;

    private final KernelFunction asymmetric;
    private final KernelFunction symmetric;
    private final int maxSmemBytes;
    private final KernelArgs args = new KernelArgs(ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS,
            ADDRESS, ADDRESS, ADDRESS, ADDRESS, INT, INT, INT, INT, INT);

    public RopeAppendKv(CudaContext context) {
        asymmetric = context.kernel(spec(false));
        symmetric = context.kernel(spec(true));
        maxSmemBytes = context.device().smemBytesPerCta();
    }

    /** The kernels to build. */
    public static List<KernelSpec> specs() {
        return List.of(spec(false), spec(true));
    }

    private static KernelSpec spec(boolean symmetric) {
        return new KernelSpec("elementwise/rope_append_kv.cuh", "rope_append_kv",
                KernelConfig.empty().with("THREADS", THREADS).with("SYMMETRIC", symmetric), true);
    }

    /**
     * Queues the operation.
     *
     * @param symmetric  the paper's KV format instead of the asymmetric one
     * @param qkv        {@code [nTokens, (nHeads + 2·nKvHeads)·headDim]} bf16
     * @param positions  {@code [nTokens]} i32, below the rows of cos and sin
     * @param slots      {@code [nTokens]} i32, KV slot of each token, all different
     * @param cos        {@code [maxPosition, headDim/2]} f32
     * @param sin        {@code [maxPosition, headDim/2]} f32
     * @param kSmooth    {@code [nKvHeads, headDim]} f32, or null
     * @param query      {@code [nTokens, nHeads, headDim]} e4m3
     * @param queryScale {@code [nTokens, nHeads]} f32
     */
    public void launch(CudaStream stream, boolean symmetric, DeviceBuffer qkv, DeviceBuffer positions,
            DeviceBuffer slots, DeviceBuffer cos, DeviceBuffer sin, DeviceBuffer kSmooth, int nTokens, int nHeads,
            PagedKv cache, DeviceBuffer query, DeviceBuffer queryScale) {
        PagedKvLayout layout = cache.layout();
        int headDim = layout.headDim();
        int smemBytes = WARPS * headDim * Float.BYTES;
        if (nHeads % layout.nKvHeads() != 0 || headDim % 2 != 0 || smemBytes > maxSmemBytes) {
            throw new IllegalArgumentException(("%s: nHeads=%d nKvHeads=%d headDim=%d; required nHeads a multiple of "
                    + "nKvHeads, headDim even and at most %,d").formatted(NAME, nHeads, layout.nKvHeads(), headDim,
                    maxSmemBytes / (WARPS * Float.BYTES)));
        }
        long width = (nHeads + 2L * layout.nKvHeads()) * headDim;
        args.set(0, qkv.require(NAME, "qkv [nTokens, (nHeads + 2·nKvHeads)·headDim]", nTokens * width, 2));
        args.set(1, positions.require(NAME, "positions [nTokens]", nTokens, 4));
        args.set(2, slots.require(NAME, "slots [nTokens]", nTokens, 4));
        args.set(3, cos).set(4, sin);
        if (kSmooth == null) {
            args.setNull(5);
        } else {
            args.set(5, kSmooth.require(NAME, "kSmooth [nKvHeads, headDim]", (long) layout.nKvHeads() * headDim, 4));
        }
        args.set(6, query.require(NAME, "query [nTokens, nHeads, headDim]", (long) nTokens * nHeads * headDim, 1));
        args.set(7, queryScale.require(NAME, "queryScale [nTokens, nHeads]", (long) nTokens * nHeads, 4));
        args.set(8, cache.kCodes()).set(9, cache.kParams()).set(10, cache.vCodes()).set(11, cache.vParams());
        args.set(12, nHeads).set(13, layout.nKvHeads()).set(14, headDim).set(15, layout.groupSize());
        args.set(16, layout.kvBlockSize());
        (symmetric ? this.symmetric : asymmetric).launch(stream, LaunchShape.of(nTokens, THREADS).smem(smemBytes), args);
    }
}
