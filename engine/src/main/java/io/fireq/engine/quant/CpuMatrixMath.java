package io.fireq.engine.quant;

import io.fireq.engine.api.EngineOptions.CpuKernelChoice;
import io.fireq.engine.backend.cpu.CpuMath;

/** Matrix work on the CPU backend's kernels; factorizations in double. */
final class CpuMatrixMath implements MatrixMath {
    /** Tokens whose products are summed in float32 before they join the total. */
    private static final int CHUNK = 512;
    /** Added to the diagonal, relative to its mean: a dead channel must not make the matrix singular. */
    private static final double FLOOR = 1e-6;

    private final CpuMath math;
    private float[] transposed = {};
    private float[] partial = {};

    CpuMatrixMath(CpuMath math) {
        this.math = math;
    }

    /** Parameters and exceptions as {@link CpuMath#create}. */
    static CpuMatrixMath create(int threads, CpuKernelChoice kernels) {
        return new CpuMatrixMath(CpuMath.create(threads, kernels));
    }

    @Override
    public String description() {
        return math.kernels();
    }

    @Override
    public void addGram(float[] x, int nTokens, int k, float[] sum) {
        accumulate(x, k, x, k, nTokens, sum, true);
    }

    @Override
    public void addCross(float[] y, int n, float[] x, int k, int nTokens, float[] sum) {
        accumulate(y, n, x, k, nTokens, sum, false);
    }

    private void accumulate(float[] y, int n, float[] x, int k, int nTokens, float[] sum, boolean upperOnly) {
        transposed = atLeast(transposed, n * CHUNK);
        partial = atLeast(partial, n * k);
        for (int from = 0; from < nTokens; from += CHUNK) {
            int count = Math.min(CHUNK, nTokens - from);
            int begin = from;
            math.parallelFor(n, 64, (low, high) -> {
                for (int i = low; i < high; i++) {
                    for (int t = 0; t < count; t++) {
                        transposed[i * CHUNK + t] = y[(begin + t) * n + i];
                    }
                    java.util.Arrays.fill(partial, i * k, (i + 1) * k, 0f);
                }
            });
            if (upperOnly) {
                math.addUpperProduct(transposed, CHUNK, n, x, from * k, k, count, partial, k);
            } else {
                math.addProduct(transposed, 0, CHUNK, n, x, from * k, k, count, k, partial, 0, k);
            }
            math.parallelFor(n, 64, (low, high) -> {
                for (int i = low * k; i < high * k; i++) {
                    sum[i] += partial[i];
                }
            });
        }
    }

    private static float[] atLeast(float[] buffer, int size) {
        return buffer.length >= size ? buffer : new float[size];
    }

    @Override
    public void addProduct(float[] a, int aOffset, int aStride, int m, float[] b, int bOffset, int bStride, int k, int n,
            float[] c, int cOffset, int cStride) {
        math.addProduct(a, aOffset, aStride, m, b, bOffset, bStride, k, n, c, cOffset, cStride);
    }

    /**
     * With A = ŨŨᵀ, Ũ upper triangular, U is Ũ⁻¹. Turned by 180 degrees Ũ is the usual lower Cholesky factor of A turned
     * alike, so rows and columns are counted from the end here.
     */
    @Override
    public float[] inverseCholesky(float[] a, int k, double relative) {
        double trace = 0;
        for (int i = 0; i < k; i++) {
            trace += a[i * k + i];
        }
        double floor = trace > 0 ? FLOOR * trace / k : 1;
        double[][] lower = new double[k][];
        for (int i = 0; i < k; i++) {
            lower[i] = new double[i + 1];
            int source = (k - 1 - i) * k + k - 1;
            for (int j = 0; j <= i; j++) {
                lower[i][j] = a[source - j];
            }
            lower[i][i] = lower[i][i] * (1 + relative) + floor;
        }
        LowerTriangle.cholesky(lower, this);
        LowerTriangle.invert(lower, this);
        float[] upper = new float[Math.multiplyExact(k, k)];
        for (int i = 0; i < k; i++) {
            int target = (k - 1 - i) * k + k - 1;
            for (int j = 0; j <= i; j++) {
                upper[target - j] = (float) lower[i][j];
            }
        }
        return upper;
    }

    @Override
    public void parallelFor(int n, int grain, RowBody body) {
        math.parallelFor(n, grain, body::run);
    }

    @Override
    public void close() {
        math.close();
    }
}
