package io.fireq.kernels.elementwise;

import static io.fireq.kernels.cuda.KernelArgs.Type.ADDRESS;
import static io.fireq.kernels.cuda.KernelArgs.Type.FLOAT;
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
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/**
 * What happens between the qkv layer and attention: rotary embedding and smoothing of Q and K, Q to e4m3 per head, K and
 * V to INT4 into the paged cache.
 */
public final class RopeAppendKv {
    private static final String NAME = "RopeAppendKv";
    private static final int THREADS = 256;
    private static final int WARPS = THREADS / 32;
    private static final int[] HEAD_DIMS = {64, 128};
    private static final int ANY_HEAD_DIM = 0;
    /** Channels that a lane takes: with few a token is soon done, with many the device. */
    private static final int FEW_CHANNELS = 8;
    private static final int MANY_CHANNELS = 16;
    /** Lane groups of a CTA, each with a head. */
    private static final int HEADS_PER_CTA = 16;
    /** As many as registers let run at a time, in threads. */
    private static final int THREADS_PER_SM = 896;

    private final Map<Variant, KernelFunction> kernels = new HashMap<>();
    private final int maxSmemBytes;
    private final int nSms;
    private final KernelArgs args = new KernelArgs(ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS,
            ADDRESS, ADDRESS, ADDRESS, ADDRESS, INT, INT, INT, INT, INT, FLOAT);
    private final KernelArgs plainArgs = new KernelArgs(ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS,
            ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, INT, INT, INT, INT, INT, INT, FLOAT);

    public RopeAppendKv(CudaContext context) {
        variants().forEach(variant -> kernels.put(variant, context.kernel(variant.spec())));
        maxSmemBytes = context.device().smemBytesPerCta();
        nSms = context.device().nSms();
    }

    /** The kernels to build. */
    public static List<KernelSpec> specs() {
        return variants().stream().map(Variant::spec).toList();
    }

    private static List<Variant> variants() {
        List<Variant> variants = new ArrayList<>();
        for (boolean symmetric : new boolean[] {false, true}) {
            for (int headDim : HEAD_DIMS) {
                variants.add(new Variant(headDim, FEW_CHANNELS, symmetric));
                variants.add(new Variant(headDim, MANY_CHANNELS, symmetric));
            }
            variants.add(plain(symmetric));
        }
        return variants;
    }

    private static Variant plain(boolean symmetric) {
        return new Variant(ANY_HEAD_DIM, 0, symmetric);
    }

    /** A kernel for one head size and so many channels of a lane, or the plain one for any size. */
    private record Variant(int headDim, int channels, boolean symmetric) {
        KernelSpec spec() {
            if (headDim == ANY_HEAD_DIM) {
                return new KernelSpec("elementwise/plain_rope_append_kv.cuh", "plain_rope_append_kv",
                        KernelConfig.empty().with("THREADS", THREADS).with("SYMMETRIC", symmetric), true);
            }
            return new KernelSpec("elementwise/rope_append_kv.cuh", "rope_append_kv", KernelConfig.empty()
                    .with("THREADS", threads()).with("THREADS_PER_SM", THREADS_PER_SM).with("HEAD_DIM", headDim)
                    .with("CHANNELS", channels).with("SYMMETRIC", symmetric), true);
        }

        int threads() {
            return HEADS_PER_CTA * headDim / channels;
        }
    }

    private static boolean isFast(PagedKvLayout layout) {
        return layout.groups() == 1 && Arrays.stream(HEAD_DIMS).anyMatch(dim -> dim == layout.headDim());
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
     * @param hadamardBlock channels of Q and K that are turned together, a power of two; 0 or 1 for none
     * @param query      {@code [nTokens, nHeads, headDim]} e4m3
     * @param queryScale {@code [nTokens, nHeads]} f32
     */
    public void launch(CudaStream stream, boolean symmetric, DeviceBuffer qkv, DeviceBuffer positions,
            DeviceBuffer slots, DeviceBuffer cos, DeviceBuffer sin, DeviceBuffer kSmooth, int hadamardBlock, int nTokens,
            int nHeads, PagedKv cache, DeviceBuffer query, DeviceBuffer queryScale) {
        PagedKvLayout layout = cache.layout();
        int headDim = layout.headDim();
        boolean isFast = isFast(layout) && qkv.isAligned(16) && query.isAligned(8);
        requireShape(layout, nHeads, hadamardBlock);
        KernelArgs a = isFast ? args : plainArgs;
        long width = (nHeads + 2L * layout.nKvHeads()) * headDim;
        a.set(0, qkv.require(NAME, "qkv [nTokens, (nHeads + 2·nKvHeads)·headDim]", nTokens * width, 2));
        a.set(1, positions.require(NAME, "positions [nTokens]", nTokens, 4));
        a.set(2, slots.require(NAME, "slots [nTokens]", nTokens, 4));
        a.set(3, cos).set(4, sin);
        if (kSmooth == null) {
            a.setNull(5);
        } else {
            a.set(5, kSmooth.require(NAME, "kSmooth [nKvHeads, headDim]", (long) layout.nKvHeads() * headDim, 4));
        }
        a.set(6, query.require(NAME, "query [nTokens, nHeads, headDim]", (long) nTokens * nHeads * headDim, 1));
        a.set(7, queryScale.require(NAME, "queryScale [nTokens, nHeads]", (long) nTokens * nHeads, 4));
        a.set(8, cache.kCodes()).set(9, cache.kParams()).set(10, cache.vCodes()).set(11, cache.vParams());
        int turned = hadamardBlock == 1 ? 0 : hadamardBlock;
        float factor = turned == 0 ? 1 : (float) (1 / Math.sqrt(turned));
        if (isFast) {
            a.set(12, nTokens).set(13, nHeads).set(14, layout.nKvHeads()).set(15, layout.kvBlockSize()).set(16, turned)
                    .set(17, factor);
            launchFast(stream, nTokens, nHeads + 2 * layout.nKvHeads(), headDim, symmetric);
        } else {
            LaunchShape shape = LaunchShape.of(nTokens, THREADS).overlapping();
            a.set(12, nHeads).set(13, layout.nKvHeads()).set(14, headDim).set(15, layout.groupSize())
                    .set(16, layout.kvBlockSize()).set(17, turned).set(18, factor);
            kernels.get(plain(symmetric)).launch(stream, shape.smem(plainSmemBytes(headDim)), a);
        }
    }

    /** With CTAs that share the heads of a token while all run at a time; else as many as do, each with many tokens. */
    private void launchFast(CudaStream stream, int nTokens, int nHeads, int headDim, boolean symmetric) {
        Variant few = new Variant(headDim, FEW_CHANNELS, symmetric);
        Variant many = new Variant(headDim, MANY_CHANNELS, symmetric);
        int ctasPerToken = (nHeads + HEADS_PER_CTA - 1) / HEADS_PER_CTA;
        boolean isFew = (long) nTokens * ctasPerToken <= ctas(few);
        Variant variant = isFew ? few : many;
        LaunchShape shape = LaunchShape.of(nTokens, variant.threads()).overlapping();
        kernels.get(variant).launch(stream,
                isFew ? shape.grid(nTokens, ctasPerToken, 1) : shape.grid(Math.min(nTokens, ctas(many)), 1, 1), args);
    }

    /** That run at a time. */
    private int ctas(Variant variant) {
        return nSms * (THREADS_PER_SM / variant.threads());
    }

    private void requireShape(PagedKvLayout layout, int nHeads, int hadamardBlock) {
        int headDim = layout.headDim();
        if (nHeads % layout.nKvHeads() != 0 || headDim % 2 != 0 || plainSmemBytes(headDim) > maxSmemBytes) {
            throw new IllegalArgumentException(("%s: nHeads=%d nKvHeads=%d headDim=%d; required nHeads a multiple of "
                    + "nKvHeads, headDim even and at most %,d").formatted(NAME, nHeads, layout.nKvHeads(), headDim,
                    maxSmemBytes / (WARPS * Float.BYTES)));
        }
        boolean isBlock = hadamardBlock == 0
                || hadamardBlock > 0 && Integer.bitCount(hadamardBlock) == 1 && headDim % hadamardBlock == 0;
        if (!isBlock) {
            throw new IllegalArgumentException(
                    "%s: hadamardBlock=%d with headDim=%d; required 0, or a power of two that divides headDim"
                            .formatted(NAME, hadamardBlock, headDim));
        }
    }

    private static int plainSmemBytes(int headDim) {
        return WARPS * headDim * Float.BYTES;
    }
}
