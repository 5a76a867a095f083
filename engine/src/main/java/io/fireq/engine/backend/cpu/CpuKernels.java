package io.fireq.engine.backend.cpu;

import io.fireq.engine.tensor.E4m3Matrix;

/**
 * The inner loops of the CPU backend: a small surface with a plain Java definition and a Vector API twin whose results
 * agree to the order of float32 sums. The order in which one output is summed depends on its row alone, never on how
 * many tokens or rows a call covers: that is what makes a sequence's result independent of its batch mates.
 *
 * <p>Stateless: any thread, each with a {@link KernelScratch} of its own.
 */
public interface CpuKernels {

    /** What this is, for logs: "plain Java", "Vector API 512 bits". */
    String name();

    /**
     * The activations in the column order that {@link #int4MatMul} reads: {@code x} itself, or a permuted copy.
     *
     * @param x      {@code [m, k]}
     * @param buffer {@code [≥ m · k]}, receives the copy
     * @return {@code x} or {@code buffer}
     */
    default float[] int4Order(float[] x, int m, int k, float[] buffer) {
        return x;
    }

    /** As {@link #int4Order}, for {@link #e4m3MatMul}. */
    default float[] e4m3Order(float[] x, int m, int k, float[] buffer) {
        return x;
    }

    /**
     * {@code y[yOffset + t·yStride + r − rowBegin] = Σ_k x[t,k] · w8[r,k]} for rows {@code rowBegin ≤ r < rowEnd} and
     * tokens {@code 0 ≤ t < m}; row and token scales are the caller's.
     *
     * @param x {@code [m, k]} decoded e4m3 values in {@link #int4Order}
     */
    void int4MatMul(Int4Weight w, int rowBegin, int rowEnd, float[] x, int m, float[] y, int yOffset, int yStride,
            KernelScratch scratch);

    /** As {@link #int4MatMul}, with finite e4m3 weights and {@code x} in {@link #e4m3Order}. */
    void e4m3MatMul(E4m3Matrix w, int rowBegin, int rowEnd, float[] x, int m, float[] y, int yOffset, int yStride,
            KernelScratch scratch);

    /**
     * Inner products of rows: {@code y[yOffset + i·yStride + j] = Σ_c a[aOffset + i·aStride + c] · b[bOffset + j·bStride + c]}
     * for {@code i < m}, {@code j < n}, {@code c < k}.
     */
    void dots(float[] a, int aOffset, int aStride, int m, float[] b, int bOffset, int bStride, int n, int k, float[] y,
            int yOffset, int yStride, KernelScratch scratch);

    /**
     * Adds weighted rows: {@code y[yOffset + i·yStride + c] += Σ_j a[aOffset + i·aStride + j] · b[bOffset + j·bStride + c]}
     * for {@code i < m}, {@code j < n} ascending, {@code c < k}.
     */
    void addWeightedRows(float[] a, int aOffset, int aStride, int m, float[] b, int bOffset, int bStride, int n, int k,
            float[] y, int yOffset, int yStride, KernelScratch scratch);

    /**
     * Unpacks INT4 KV codes of neighbouring words:
     * {@code target[targetOffset + j·targetStride + i] = words[offset + i] >>> 4·(firstNibble + j) & 15} for
     * {@code i < count}, {@code j < nibbles}.
     */
    void unpackCodes(int[] words, int offset, int count, int firstNibble, int nibbles, float[] target,
            int targetOffset, int targetStride);

    /**
     * Row quantization to e4m3: {@code out = e4m3(x · (1/scale))} with {@code scale = absmax / 448}, or 1 for a row of
     * zeros. Exact: all kernels give the same values. NaN and infinite inputs come out as NaN.
     *
     * @param out receives the values as floats; may be {@code x}
     * @return the scale
     */
    float quantizeRow(float[] x, int xOffset, int count, float[] out, int outOffset);

    /**
     * Scores to weights, in place: {@code p[t] = exp(scale · p[t] − max(scale · p))}.
     *
     * @return the sum of the weights
     */
    float softmaxRow(float[] p, int offset, int count, float scale, KernelScratch scratch);

    /** {@code gate[i] = silu(gate[i]) · up[i]}, {@code silu(g) = g / (1 + exp(−g))}. */
    void siluMul(float[] gate, int gateOffset, float[] up, int upOffset, int count);
}
