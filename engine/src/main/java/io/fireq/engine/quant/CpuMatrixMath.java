package io.fireq.engine.quant;

import io.fireq.engine.api.EngineOptions.CpuKernelChoice;
import io.fireq.engine.backend.cpu.CpuMath;
import java.util.Arrays;

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
    public Matrix zeros(int rows, int columns) {
        return CpuMatrix.zeros(rows, columns);
    }

    @Override
    public Matrix upload(float[] values, int columns) {
        return new CpuMatrix(values.clone(), values.length / columns, columns);
    }

    @Override
    public float[] download(Matrix a) {
        return CpuMatrix.values(a).clone();
    }

    @Override
    public Matrix everyRow(Matrix a, int step) {
        float[] rows = Rows.every(CpuMatrix.values(a), a.columns(), step);
        return new CpuMatrix(rows, rows.length / a.columns(), a.columns());
    }

    @Override
    public Matrix rows(Matrix a, int from, int count) {
        float[] rows = Arrays.copyOfRange(CpuMatrix.values(a), from * a.columns(), (from + count) * a.columns());
        return new CpuMatrix(rows, count, a.columns());
    }

    @Override
    public Matrix permuted(Matrix a, int[] order) {
        return map(a, (i, j) -> CpuMatrix.values(a)[order[i] * a.columns() + order[j]]);
    }

    @Override
    public Matrix timesColumns(Matrix a, double[] scales) {
        return map(a, (i, j) -> (float) (CpuMatrix.values(a)[i * a.columns() + j] * scales[j]));
    }

    @Override
    public Matrix overPairs(Matrix a, double[] scales) {
        return map(a, (i, j) -> (float) (CpuMatrix.values(a)[i * a.columns() + j] / (scales[i] * scales[j])));
    }

    private interface Element {
        float at(int row, int column);
    }

    private Matrix map(Matrix shape, Element element) {
        CpuMatrix result = CpuMatrix.zeros(shape.rows(), shape.columns());
        math.parallelFor(shape.rows(), 16, (low, high) -> {
            for (int i = low; i < high; i++) {
                for (int j = 0; j < shape.columns(); j++) {
                    result.values()[i * shape.columns() + j] = element.at(i, j);
                }
            }
        });
        return result;
    }

    @Override
    public float[] diagonal(Matrix a) {
        float[] diagonal = new float[a.rows()];
        for (int i = 0; i < diagonal.length; i++) {
            diagonal[i] = CpuMatrix.values(a)[i * a.columns() + i];
        }
        return diagonal;
    }

    @Override
    public Matrix withDiagonal(Matrix a, float[] diagonal) {
        float[] values = CpuMatrix.values(a).clone();
        for (int i = 0; i < diagonal.length; i++) {
            values[i * a.columns() + i] = diagonal[i];
        }
        return new CpuMatrix(values, a.rows(), a.columns());
    }

    @Override
    public void addGram(float[] x, int nTokens, Matrix sum) {
        accumulate(x, sum.columns(), x, sum.columns(), nTokens, CpuMatrix.values(sum), true);
    }

    @Override
    public void addCross(float[] y, float[] x, int nTokens, Matrix sum) {
        accumulate(y, sum.rows(), x, sum.columns(), nTokens, CpuMatrix.values(sum), false);
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
    public void mirror(Matrix a) {
        float[] values = CpuMatrix.values(a);
        int k = a.rows();
        for (int i = 0; i < k; i++) {
            for (int j = i + 1; j < k; j++) {
                values[j * k + i] = values[i * k + j];
            }
        }
    }

    @Override
    public void add(Matrix to, Matrix from) {
        float[] sum = CpuMatrix.values(to);
        float[] values = CpuMatrix.values(from);
        for (int i = 0; i < sum.length; i++) {
            sum[i] += values[i];
        }
    }

    @Override
    public double dot(Matrix a, Matrix b) {
        float[] left = CpuMatrix.values(a);
        float[] right = CpuMatrix.values(b);
        double sum = 0;
        for (int i = 0; i < left.length; i++) {
            sum += (double) left[i] * right[i];
        }
        return sum;
    }

    @Override
    public double gain(Matrix step, Matrix missing, Matrix product) {
        float[] steps = CpuMatrix.values(step);
        float[] lacks = CpuMatrix.values(missing);
        float[] products = CpuMatrix.values(product);
        double gain = 0;
        for (int i = 0; i < steps.length; i++) {
            gain += (double) steps[i] * (2.0 * lacks[i] - products[i]);
        }
        return gain;
    }

    @Override
    public void addProduct(Matrix a, Matrix b, Matrix c) {
        addProduct(CpuMatrix.values(a), a.rows(), CpuMatrix.values(b), b.rows(), b.columns(), CpuMatrix.values(c));
    }

    @Override
    public void subtractProduct(Matrix a, Matrix b, Matrix c) {
        float[] negative = CpuMatrix.values(a).clone();
        for (int i = 0; i < negative.length; i++) {
            negative[i] = -negative[i];
        }
        addProduct(negative, a.rows(), CpuMatrix.values(b), b.rows(), b.columns(), CpuMatrix.values(c));
    }

    private void addProduct(float[] a, int m, float[] b, int k, int n, float[] c) {
        addProduct(a, 0, k, m, b, 0, n, k, n, c, 0, n);
    }

    /**
     * {@code c += a · b} on parts of matrices.
     *
     * @param a {@code [m, k]} from aOffset on, rows aStride apart; b {@code [k, n]} and c {@code [m, n]} alike
     */
    void addProduct(float[] a, int aOffset, int aStride, int m, float[] b, int bOffset, int bStride, int k, int n,
            float[] c, int cOffset, int cStride) {
        math.addProduct(a, aOffset, aStride, m, b, bOffset, bStride, k, n, c, cOffset, cStride);
    }

    @Override
    public Matrix timesInverse(Matrix a, Matrix triangle) {
        Matrix transposed = map(triangle, (i, j) -> CpuMatrix.values(triangle)[j * triangle.columns() + i]);
        Matrix half = zeros(a.rows(), a.columns());
        addProduct(a, transposed, half);
        Matrix whole = zeros(a.rows(), a.columns());
        addProduct(half, triangle, whole);
        return whole;
    }

    /**
     * With A = ŨŨᵀ, Ũ upper triangular, U is Ũ⁻¹. Turned by 180 degrees Ũ is the usual lower Cholesky factor of A turned
     * alike, so rows and columns are counted from the end here.
     */
    @Override
    public Matrix inverseCholesky(Matrix matrix, double relative) {
        float[] a = CpuMatrix.values(matrix);
        int k = matrix.rows();
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
        CpuMatrix result = CpuMatrix.zeros(k, k);
        float[] upper = result.values();
        for (int i = 0; i < k; i++) {
            int target = (k - 1 - i) * k + k - 1;
            for (int j = 0; j <= i; j++) {
                upper[target - j] = (float) lower[i][j];
            }
        }
        return result;
    }

    @Override
    public WeightRounding rounding(Matrix weights, int groupSize, float[] values) {
        return new CpuWeightRounding(this, CpuMatrix.values(weights), weights.rows(), weights.columns(), groupSize,
                values);
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
