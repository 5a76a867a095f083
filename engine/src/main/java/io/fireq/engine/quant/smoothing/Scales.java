package io.fireq.engine.quant.smoothing;

import io.fireq.engine.tensor.Chunks;

/** Multiplies rows and columns, and measures them. All products are formed in double and rounded once to float32. */
final class Scales {
    /** In a piece of work. */
    private static final int ROWS = 32;
    private static final int COLUMNS = 128;

    private Scales() {}

    /** {@code w[i,j] *= s[i]}; w is {@code [s.length, k]}. */
    static void multiplyRows(float[] w, int k, double[] s) {
        Chunks.forEach(s.length, ROWS, (begin, end) -> {
            for (int i = begin; i < end; i++) {
                for (int j = i * k; j < (i + 1) * k; j++) {
                    w[j] = (float) (w[j] * s[i]);
                }
            }
        });
    }

    /** {@code w[i,j] *= s[j]}; w is {@code [n, s.length]}. */
    static void multiplyColumns(float[] w, double[] s) {
        int k = s.length;
        Chunks.forEach(w.length / k, ROWS, (begin, end) -> {
            for (int row = begin * k; row < end * k; row += k) {
                for (int j = 0; j < k; j++) {
                    w[row + j] = (float) (w[row + j] * s[j]);
                }
            }
        });
    }

    static void multiply(float[] v, double[] s) {
        multiplyRows(v, 1, s);
    }

    static double[] inverse(double[] s) {
        double[] inverse = new double[s.length];
        for (int i = 0; i < s.length; i++) {
            inverse[i] = 1 / s[i];
        }
        return inverse;
    }

    /** Adds the squares of each column of {@code [n, sums.length]} to {@code sums}. */
    static void addColumnSquares(float[] w, double[] sums) {
        Chunks.forEach(sums.length, COLUMNS, (begin, end) -> { // a column's sum is in the order of its rows
            for (int row = 0; row < w.length; row += sums.length) {
                for (int j = begin; j < end; j++) {
                    sums[j] += (double) w[row + j] * w[row + j];
                }
            }
        });
    }

    /** Sums of squares of the rows of {@code [n, k]}. */
    static double[] rowSquares(float[] w, int k) {
        double[] sums = new double[w.length / k];
        Chunks.forEach(sums.length, ROWS, (begin, end) -> {
            for (int i = begin * k; i < end * k; i++) {
                sums[i / k] += (double) w[i] * w[i];
            }
        });
        return sums;
    }
}
