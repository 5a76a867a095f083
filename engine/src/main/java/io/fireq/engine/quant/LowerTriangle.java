package io.fireq.engine.quant;

/**
 * Cholesky factorization and inversion of lower triangles in double, in place, in blocks of columns whose effect on the
 * rest is applied by all threads. {@code a[i]} holds the columns 0..i of row i.
 *
 * <p>Inner loops add multiples of rows, which the JIT compiler vectorizes; it does not do that with inner products.
 */
final class LowerTriangle {
    private static final int BLOCK = 32;

    private LowerTriangle() {}

    /**
     * Replaces A by L with {@code LLᵀ = A}.
     *
     * @throws IllegalArgumentException if A is not positive definite
     */
    static void cholesky(double[][] a, MatrixMath threads) {
        int n = a.length;
        for (int begin = 0; begin < n; begin += BLOCK) {
            int from = begin;
            int to = Math.min(begin + BLOCK, n);
            for (int i = from; i < to; i++) {
                reduceRow(a, i, from, i + 1);
                if (!(a[i][i] > 0)) {
                    throw new IllegalArgumentException(
                            "Cholesky factorization: pivot %d of %d is %s; the matrix is not positive definite"
                                    .formatted(i, n, a[i][i]));
                }
                a[i][i] = Math.sqrt(a[i][i]);
            }
            double[][] columns = new double[to - from][n]; // the block's columns, transposed, so that rows are added
            threads.parallelFor(n - to, 32, (low, high) -> {
                for (int i = to + low; i < to + high; i++) {
                    reduceRow(a, i, from, to);
                    for (int c = from; c < to; c++) {
                        columns[c - from][i] = a[i][c];
                    }
                }
            });
            threads.parallelFor(n - to, 8, (low, high) -> {
                for (int i = to + low; i < to + high; i++) {
                    subtractMultiples(a[i], columns, i, from, to, i + 1);
                }
            });
        }
    }

    /** Columns from..to-1 of row i from the rows of the block: {@code a[i,c] = (a[i,c] − Σ_p a[i,p]·a[c,p]) / a[c,c]}. */
    private static void reduceRow(double[][] a, int i, int from, int to) {
        double[] row = a[i];
        for (int c = from; c < to; c++) {
            double sum = row[c];
            double[] other = a[c];
            for (int p = from; p < c; p++) {
                sum -= row[p] * other[p];
            }
            row[c] = c == i ? sum : sum / other[c];
        }
    }

    /** {@code row[to..end-1] −= Σ_c row[c] · columns[c − from][to..end-1]}, two columns at a time. */
    private static void subtractMultiples(double[] row, double[][] columns, int i, int from, int to, int end) {
        int c = from;
        for (; c + 2 <= to; c += 2) {
            double f0 = row[c];
            double f1 = row[c + 1];
            double[] c0 = columns[c - from];
            double[] c1 = columns[c + 1 - from];
            for (int j = to; j < end; j++) {
                row[j] = row[j] - f0 * c0[j] - f1 * c1[j];
            }
        }
        for (; c < to; c++) {
            double f = row[c];
            double[] column = columns[c - from];
            for (int j = to; j < end; j++) {
                row[j] -= f * column[j];
            }
        }
    }

    /** Replaces L by its inverse. */
    static void invert(double[][] a, MatrixMath threads) {
        int n = a.length;
        for (int begin = 0; begin < n; begin += BLOCK) {
            int from = begin;
            int to = Math.min(begin + BLOCK, n);
            // Rows above are inverted already: what they contribute to this block's rows, then the block itself.
            threads.parallelFor(to - from, 1, (low, high) -> {
                for (int i = from + low; i < from + high; i++) {
                    double[] sums = new double[from];
                    int p = 0;
                    for (; p + 2 <= from; p += 2) {
                        addTwo(sums, p + 1, -a[i][p], a[p], -a[i][p + 1], a[p + 1]);
                        sums[p + 1] -= a[i][p + 1] * a[p + 1][p + 1];
                    }
                    for (; p < from; p++) {
                        for (int j = 0; j <= p; j++) {
                            sums[j] -= a[i][p] * a[p][j];
                        }
                    }
                    System.arraycopy(sums, 0, a[i], 0, from);
                }
            });
            for (int i = from; i < to; i++) {
                double[] row = a[i];
                double[] own = new double[i + 1];
                System.arraycopy(row, 0, own, 0, from);
                for (int p = from; p < i; p++) {
                    double f = row[p];
                    double[] above = a[p];
                    for (int j = 0; j <= p; j++) {
                        own[j] -= f * above[j];
                    }
                }
                double pivot = row[i];
                for (int j = 0; j < i; j++) {
                    row[j] = own[j] / pivot;
                }
                row[i] = 1 / pivot;
            }
        }
    }

    private static void addTwo(double[] sums, int count, double f0, double[] r0, double f1, double[] r1) {
        for (int j = 0; j < count; j++) {
            sums[j] = sums[j] + f0 * r0[j] + f1 * r1[j];
        }
    }
}
