package io.fireq.kernels.linalg;

/** Matrix work in double, element by element. All matrices are row-major without gaps. */
final class MatrixOracle {
    private MatrixOracle() {}

    /** {@code c[i,j] = Σ_t a(i,t) · b(t,j)} with either read transposed; magnitudes instead of values if asked. */
    static double[] product(float[] a, boolean aTransposed, float[] b, boolean bTransposed, int m, int n, int k,
            boolean magnitudes) {
        double[] c = new double[m * n];
        for (int i = 0; i < m; i++) {
            for (int j = 0; j < n; j++) {
                for (int t = 0; t < k; t++) {
                    double term = (double) a[aTransposed ? t * m + i : i * k + t] * b[bTransposed ? j * k + t : t * n + j];
                    c[i * n + j] += magnitudes ? Math.abs(term) : term;
                }
            }
        }
        return c;
    }

    /** The upper triangular U with {@code UᵀU = A⁻¹}. */
    static double[] inverseCholesky(double[] a, int k) {
        double[] lower = cholesky(reverse(a), k);
        double[] inverse = new double[k * k];
        for (int column = 0; column < k; column++) {
            for (int i = column; i < k; i++) {
                double sum = i == column ? 1 : 0;
                for (int p = column; p < i; p++) {
                    sum -= lower[i * k + p] * inverse[p * k + column];
                }
                inverse[i * k + column] = sum / lower[i * k + i];
            }
        }
        return reverse(inverse);
    }

    private static double[] cholesky(double[] a, int k) {
        double[] lower = new double[k * k];
        for (int i = 0; i < k; i++) {
            for (int j = 0; j <= i; j++) {
                double sum = a[i * k + j];
                for (int p = 0; p < j; p++) {
                    sum -= lower[i * k + p] * lower[j * k + p];
                }
                lower[i * k + j] = i == j ? Math.sqrt(sum) : sum / lower[j * k + j];
            }
        }
        return lower;
    }

    static double[] reverse(double[] a) {
        double[] reversed = new double[a.length];
        for (int i = 0; i < a.length; i++) {
            reversed[i] = a[a.length - 1 - i];
        }
        return reversed;
    }

    static double[] mirror(float[] a, int k) {
        double[] mirrored = new double[a.length];
        for (int i = 0; i < k; i++) {
            for (int j = 0; j < k; j++) {
                mirrored[i * k + j] = a[Math.min(i, j) * k + Math.max(i, j)];
            }
        }
        return mirrored;
    }

    /** {@code out[i,j] = in[rowOf[i], columnOf[j]] · rowFactor[i] · columnFactor[j]}. */
    static double[] gather(float[] in, int columns, int[] rowOf, int[] columnOf, double[] rowFactor,
            double[] columnFactor) {
        double[] out = new double[rowOf.length * columnOf.length];
        for (int i = 0; i < rowOf.length; i++) {
            for (int j = 0; j < columnOf.length; j++) {
                out[i * columnOf.length + j] =
                        in[rowOf[i] * columns + columnOf[j]] * rowFactor[i] * columnFactor[j];
            }
        }
        return out;
    }

    /** {@code out[i] = Σ_j a[i,j] · (factor · b[i,j] − c[i,j])}. */
    static double[] rowDots(float[] a, double factor, float[] b, float[] c, int columns) {
        double[] out = new double[a.length / columns];
        for (int i = 0; i < a.length; i++) {
            out[i / columns] += a[i] * (factor * b[i] - c[i]);
        }
        return out;
    }
}
