package io.fireq.engine.quant;

/**
 * The heavy matrix work of a calibrated quantization, in float32 on row-major host arrays: the one place to put another
 * device in. Results must not depend on the number of threads.
 *
 * <p>One caller at a time.
 */
interface MatrixMath extends AutoCloseable {

    /** What does the work, for the record. */
    String description();

    /**
     * Second moments of tokens: {@code sum[i,j] += Σ_t x[t,i] · x[t,j]} for {@code j ≥ i}; below the diagonal it may
     * leave anything, see {@link #mirror}.
     *
     * @param x   {@code [nTokens, k]}
     * @param sum {@code [k, k]}
     */
    void addGram(float[] x, int nTokens, int k, float[] sum);

    /** {@code sum[i,j] += Σ_t y[t,i] · x[t,j]}; y is {@code [nTokens, n]}, x {@code [nTokens, k]}, sum {@code [n, k]}. */
    void addCross(float[] y, int n, float[] x, int k, int nTokens, float[] sum);

    /**
     * {@code c += a · b} on parts of matrices.
     *
     * @param a {@code [m, k]} from aOffset on, rows aStride apart; b {@code [k, n]} and c {@code [m, n]} alike
     */
    void addProduct(float[] a, int aOffset, int aStride, int m, float[] b, int bOffset, int bStride, int k, int n,
            float[] c, int cOffset, int cStride);

    /**
     * The upper triangular U with {@code UᵀU = (A + damping)⁻¹}, where damping adds {@code relative · A[i,i]}, and a
     * trace of the mean, to each element of the diagonal.
     *
     * @param a {@code [k, k]} symmetric, no negative eigenvalues but for rounding
     * @return {@code [k, k]}, zeros below the diagonal
     */
    float[] inverseCholesky(float[] a, int k, double relative);

    /** Runs {@code body} over rows 0..n-1 in pieces, on threads of the host. */
    void parallelFor(int n, int grain, RowBody body);

    @Override
    void close();

    /** Copies what lies above the diagonal of {@code [k, k]} below it. */
    static void mirror(float[] a, int k) {
        for (int i = 0; i < k; i++) {
            for (int j = i + 1; j < k; j++) {
                a[j * k + i] = a[i * k + j];
            }
        }
    }

    /** Works on the rows {@code begin ≤ i < end}. */
    interface RowBody {
        void run(int begin, int end);
    }
}
