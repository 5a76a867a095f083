package io.fireq.engine.quant;

/**
 * The heavy matrix work of a calibrated quantization, in float32: the one place to put another device in. Matrices live
 * where the work is done; every method that returns one leaves its closing to the caller. The same calls give the same
 * bits, whatever the number of threads.
 *
 * <p>One caller at a time.
 */
interface MatrixMath extends AutoCloseable {

    /** What does the work, for the record. */
    String description();

    // Matrices that come, go, and are taken apart.

    Matrix zeros(int rows, int columns);

    /** @param values {@code [values.length / columns, columns]}; copied */
    Matrix upload(float[] values, int columns);

    /** {@code [rows · columns]}. */
    float[] download(Matrix a);

    /** A copy of rows 0, step, 2 step, …. */
    Matrix everyRow(Matrix a, int step);

    /** A copy of {@code count} rows. */
    Matrix rows(Matrix a, int from, int count);

    /** {@code result[i,j] = a[order[i], order[j]]}, square. */
    Matrix permuted(Matrix a, int[] order);

    /** {@code result[i,j] = a[i,j] · scales[j]}. */
    Matrix timesColumns(Matrix a, double[] scales);

    /** {@code result[i,j] = a[i,j] / (scales[i] · scales[j])}, square. */
    Matrix overPairs(Matrix a, double[] scales);

    /** Of a square matrix. */
    float[] diagonal(Matrix a);

    /** A copy with another diagonal. */
    Matrix withDiagonal(Matrix a, float[] diagonal);

    // Sums.

    /**
     * Second moments of tokens: {@code sum[i,j] += Σ_t x[t,i] · x[t,j]} for {@code j ≥ i}; below the diagonal it may
     * leave anything, see {@link #mirror}.
     *
     * @param x   {@code [nTokens, k]}
     * @param sum {@code [k, k]}
     */
    void addGram(float[] x, int nTokens, Matrix sum);

    /** {@code sum[i,j] += Σ_t y[t,i] · x[t,j]}; y is {@code [nTokens, n]}, x {@code [nTokens, k]}, sum {@code [n, k]}. */
    void addCross(float[] y, float[] x, int nTokens, Matrix sum);

    /** Copies what lies above the diagonal below it. */
    void mirror(Matrix a);

    /** {@code to += from}. */
    void add(Matrix to, Matrix from);

    /** {@code Σ a[i,j] · b[i,j]} in float64. */
    double dot(Matrix a, Matrix b);

    /** {@code Σ step[i,j] · (2 · missing[i,j] − product[i,j])} in float64. */
    double gain(Matrix step, Matrix missing, Matrix product);

    // Products and what is made of them.

    /** {@code c += a · b}; a is {@code [m, k]}, b {@code [k, n]}, c {@code [m, n]}. */
    void addProduct(Matrix a, Matrix b, Matrix c);

    /** {@code c −= a · b}. */
    void subtractProduct(Matrix a, Matrix b, Matrix c);

    /** {@code a · UᵀU}, for U of {@link #inverseCholesky}: a times the inverse. */
    Matrix timesInverse(Matrix a, Matrix triangle);

    /**
     * The upper triangular U with {@code UᵀU = (A + damping)⁻¹}, where damping adds {@code relative · A[i,i]}, and a
     * trace of the mean, to each element of the diagonal.
     *
     * @param a {@code [k, k]} symmetric, no negative eigenvalues but for rounding
     * @return {@code [k, k]}, zeros below the diagonal
     */
    Matrix inverseCholesky(Matrix a, double relative);

    /**
     * Starts the rounding of a weight.
     *
     * @param weights {@code [n, k]}, finite; not changed, and not to be closed before the rounding is
     * @param values  {@code [16]} what the codes stand for
     */
    WeightRounding rounding(Matrix weights, int groupSize, float[] values);

    /** Runs {@code body} over rows 0..n-1 in pieces, on threads of the host. */
    void parallelFor(int n, int grain, RowBody body);

    @Override
    void close();

    /** Works on the rows {@code begin ≤ i < end}. */
    interface RowBody {
        void run(int begin, int end);
    }
}
