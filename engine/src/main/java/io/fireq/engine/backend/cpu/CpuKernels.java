package io.fireq.engine.backend.cpu;

import io.fireq.engine.tensor.E4m3Matrix;
import io.fireq.engine.tensor.Int4Matrix;

/**
 * The inner loops of the CPU backend: a small surface with a plain Java definition and a Vector API twin whose results
 * agree to the order of float32 sums. Stateless; any thread.
 */
public interface CpuKernels {

    /** What this is, for logs: "plain Java", "Vector API, 512 bits". */
    String name();

    /**
     * {@code y[t·yStride + r] = Σ_k x[t·k + k'] · w8[r, k']} for rows {@code rowBegin ≤ r < rowEnd} and tokens
     * {@code 0 ≤ t < m}; row and token scales are the caller's.
     *
     * @param x {@code [m, k]} decoded e4m3 values
     * @param y {@code [m, yStride]}; only columns rowBegin..rowEnd-1 are written
     */
    void int4MatMul(Int4Matrix w, int rowBegin, int rowEnd, float[] x, int m, float[] y, int yStride);

    /** As {@link #int4MatMul} with e4m3 weights. */
    void e4m3MatMul(E4m3Matrix w, int rowBegin, int rowEnd, float[] x, int m, float[] y, int yStride);

    /** As {@link #int4MatMul} with float32 weights {@code [n, k]}. */
    void floatMatMul(float[] w, int k, int rowBegin, int rowEnd, float[] x, int m, float[] y, int yStride);
}
