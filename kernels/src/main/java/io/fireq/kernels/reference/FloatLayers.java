package io.fireq.kernels.reference;

import static io.fireq.kernels.cuda.KernelArgs.Type.ADDRESS;
import static io.fireq.kernels.cuda.KernelArgs.Type.FLOAT;
import static io.fireq.kernels.cuda.KernelArgs.Type.INT;

import io.fireq.kernels.catalog.KernelConfig;
import io.fireq.kernels.catalog.KernelSpec;
import io.fireq.kernels.cuda.CudaContext;
import io.fireq.kernels.cuda.CudaStream;
import io.fireq.kernels.cuda.DeviceBuffer;
import io.fireq.kernels.cuda.KernelArgs;
import io.fireq.kernels.cuda.KernelFunction;
import io.fireq.kernels.cuda.LaunchShape;
import io.fireq.kernels.linalg.DeviceMatrix;
import io.fireq.kernels.linalg.F32Gemm;
import java.util.List;

/** What a decoder layer does besides its linear layers, in float32, for one window of tokens from position 0 on. */
public final class FloatLayers {
    private static final String NAME = "FloatLayers";
    private static final int THREADS = 256;
    private static final int PAIR_THREADS = 64;

    private final F32Gemm gemm;
    private final KernelFunction rmsNorm;
    private final KernelFunction rope;
    private final KernelFunction softmax;
    private final KernelFunction siluMul;
    private final KernelArgs rmsNormArgs = new KernelArgs(ADDRESS, ADDRESS, ADDRESS, INT, FLOAT);
    private final KernelArgs ropeArgs =
            new KernelArgs(ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, INT, INT, INT);
    private final KernelArgs softmaxArgs = new KernelArgs(ADDRESS, INT);
    private final KernelArgs siluMulArgs = new KernelArgs(ADDRESS, ADDRESS, INT);

    public FloatLayers(CudaContext context, F32Gemm gemm) {
        this.gemm = gemm;
        rmsNorm = context.kernel(spec("f32_rmsnorm", THREADS));
        rope = context.kernel(spec("f32_rope", PAIR_THREADS));
        softmax = context.kernel(spec("causal_softmax", THREADS));
        siluMul = context.kernel(spec("f32_silu_mul", THREADS));
    }

    /** The kernels to build. */
    public static List<KernelSpec> specs() {
        return List.of(spec("f32_rmsnorm", THREADS), spec("f32_rope", PAIR_THREADS), spec("causal_softmax", THREADS),
                spec("f32_silu_mul", THREADS));
    }

    private static KernelSpec spec(String kernel, int threads) {
        return new KernelSpec("reference/" + kernel + ".cuh", kernel, KernelConfig.empty().with("THREADS", threads), true);
    }

    /**
     * Queues a norm.
     *
     * @param x      {@code [nTokens, width]} f32
     * @param weight {@code [width]} f32
     * @param out    {@code [nTokens, width]} f32
     */
    public void rmsNorm(CudaStream stream, DeviceBuffer x, DeviceBuffer weight, float epsilon, int nTokens, int width,
            DeviceBuffer out) {
        rmsNormArgs.set(0, x.require(NAME, "x [nTokens, width]", (long) nTokens * width, 4))
                .set(1, weight.require(NAME, "weight [width]", width, 4))
                .set(2, out.require(NAME, "out [nTokens, width]", (long) nTokens * width, 4)).set(3, width)
                .set(4, epsilon);
        rmsNorm.launch(stream, LaunchShape.of(nTokens, THREADS), rmsNormArgs);
    }

    /**
     * The heads of a layer.
     *
     * @param nHeads   query heads, a multiple of nKvHeads
     * @param nKvHeads K/V heads
     * @param headDim  channels of each, even
     */
    public record Heads(int nHeads, int nKvHeads, int headDim) {
        public Heads {
            if (nKvHeads < 1 || nHeads % nKvHeads != 0 || headDim < 2 || headDim % 2 != 0) {
                throw new IllegalArgumentException("%s: %d query heads for %d K/V heads of %d channels; required a multiple, and an even number of channels"
                        .formatted(NAME, nHeads, nKvHeads, headDim));
            }
        }

        int querySize() {
            return nHeads * headDim;
        }

        int kvSize() {
            return nKvHeads * headDim;
        }
    }

    /**
     * Queues the rotation of Q and K; K is then multiplied by {@code kSmooth} and Q divided by it.
     *
     * @param qkv     {@code [nTokens, (nHeads + 2·nKvHeads)·headDim]} f32
     * @param cos     {@code [≥ nTokens, headDim/2]} f32, and sin
     * @param kSmooth {@code [nKvHeads, headDim]} f32; null for ones
     * @param query   {@code [nTokens, nHeads·headDim]} f32
     * @param key     {@code [nTokens, nKvHeads·headDim]} f32, and value
     */
    public void rope(CudaStream stream, DeviceBuffer qkv, DeviceBuffer cos, DeviceBuffer sin, DeviceBuffer kSmooth,
            int nTokens, Heads heads, DeviceBuffer query, DeviceBuffer key, DeviceBuffer value) {
        long angles = (long) nTokens * heads.headDim() / 2;
        ropeArgs.set(0, qkv.require(NAME, "qkv [nTokens, q + 2 kv]",
                (long) nTokens * (heads.querySize() + 2 * heads.kvSize()), 4));
        ropeArgs.set(1, cos.require(NAME, "cos [nTokens, headDim/2]", angles, 4));
        ropeArgs.set(2, sin.require(NAME, "sin [nTokens, headDim/2]", angles, 4));
        if (kSmooth == null) {
            ropeArgs.setNull(3);
        } else {
            ropeArgs.set(3, kSmooth.require(NAME, "kSmooth [nKvHeads, headDim]", heads.kvSize(), 4));
        }
        ropeArgs.set(4, query.require(NAME, "query [nTokens, q]", (long) nTokens * heads.querySize(), 4));
        ropeArgs.set(5, key.require(NAME, "key [nTokens, kv]", (long) nTokens * heads.kvSize(), 4));
        ropeArgs.set(6, value.require(NAME, "value [nTokens, kv]", (long) nTokens * heads.kvSize(), 4));
        ropeArgs.set(7, heads.nHeads()).set(8, heads.nKvHeads()).set(9, heads.headDim());
        rope.launch(stream, LaunchShape.of(nTokens, PAIR_THREADS).grid(nTokens, heads.nHeads() + 2 * heads.nKvHeads(), 1),
                ropeArgs);
    }

    /**
     * Queues causal attention.
     *
     * @param query   {@code [nTokens, nHeads·headDim]} f32
     * @param key     {@code [nTokens, nKvHeads·headDim]} f32, and value
     * @param scratch {@code [nHeads, nTokens, nTokens]} f32
     * @param out     {@code [nTokens, nHeads·headDim]} f32
     */
    public void attention(CudaStream stream, DeviceBuffer query, DeviceBuffer key, DeviceBuffer value, int nTokens,
            Heads heads, DeviceBuffer scratch, DeviceBuffer out) {
        int headDim = heads.headDim();
        int shared = heads.nHeads() / heads.nKvHeads();
        int square = Math.multiplyExact(nTokens, nTokens);
        scratch.require(NAME, "scratch [nHeads, nTokens, nTokens]", (long) heads.nHeads() * square, 4);
        query.require(NAME, "query [nTokens, q]", (long) nTokens * heads.querySize(), 4);
        out.require(NAME, "out [nTokens, q]", (long) nTokens * heads.querySize(), 4);
        DeviceMatrix scores = DeviceMatrix.of(scratch, nTokens, nTokens);
        DeviceMatrix firstKey = new DeviceMatrix(key, nTokens, headDim, heads.kvSize());
        DeviceMatrix firstValue = new DeviceMatrix(value, nTokens, headDim, heads.kvSize());
        gemm.launch(stream, (float) (1 / Math.sqrt(headDim)),
                F32Gemm.plain(new DeviceMatrix(query, nTokens, headDim, heads.querySize())),
                F32Gemm.transposed(firstKey), false, F32Gemm.Part.LOWER, scores,
                new F32Gemm.Batch(heads.nHeads(), headDim, headDim, square, shared));
        softmaxArgs.set(0, scratch).set(1, nTokens);
        softmax.launch(stream, LaunchShape.of(1, THREADS).grid(nTokens, heads.nHeads(), 1), softmaxArgs);
        gemm.launch(stream, 1, F32Gemm.plain(scores), F32Gemm.plain(firstValue), false, F32Gemm.Part.ALL,
                new DeviceMatrix(out, nTokens, headDim, heads.querySize()),
                new F32Gemm.Batch(heads.nHeads(), square, headDim, headDim, shared));
    }

    /**
     * Queues {@code out = silu(gate) · up}.
     *
     * @param gateUp {@code [nTokens, 2·ffnSize]} f32, gate then up
     * @param out    {@code [nTokens, ffnSize]} f32
     */
    public void siluMul(CudaStream stream, DeviceBuffer gateUp, int nTokens, int ffnSize, DeviceBuffer out) {
        siluMulArgs.set(0, gateUp.require(NAME, "gateUp [nTokens, 2·ffnSize]", 2L * nTokens * ffnSize, 4))
                .set(1, out.require(NAME, "out [nTokens, ffnSize]", (long) nTokens * ffnSize, 4)).set(2, ffnSize);
        siluMul.launch(stream, LaunchShape.of(nTokens, THREADS).grid(nTokens, (ffnSize + THREADS - 1) / THREADS, 1),
                siluMulArgs);
    }
}
