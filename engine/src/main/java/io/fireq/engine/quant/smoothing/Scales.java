package io.fireq.engine.quant.smoothing;

/** Multiplies rows and columns, and measures them. All products are formed in double and rounded once to float32. */
final class Scales {
    private Scales() {}

    /** {@code w[i,j] *= s[i]}; w is {@code [s.length, k]}. */
    static void multiplyRows(float[] w, int k, double[] s) {
        for (int i = 0; i < s.length; i++) {
            for (int j = i * k; j < (i + 1) * k; j++) {
                w[j] = (float) (w[j] * s[i]);
            }
        }
    }

    /** {@code w[i,j] *= s[j]}; w is {@code [n, s.length]}. */
    static void multiplyColumns(float[] w, double[] s) {
        for (int row = 0; row < w.length; row += s.length) {
            for (int j = 0; j < s.length; j++) {
                w[row + j] = (float) (w[row + j] * s[j]);
            }
        }
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
        for (int row = 0; row < w.length; row += sums.length) {
            for (int j = 0; j < sums.length; j++) {
                sums[j] += (double) w[row + j] * w[row + j];
            }
        }
    }

    /** Sums of squares of the rows of {@code [n, k]}. */
    static double[] rowSquares(float[] w, int k) {
        double[] sums = new double[w.length / k];
        for (int i = 0; i < w.length; i++) {
            sums[i / k] += (double) w[i] * w[i];
        }
        return sums;
    }
}
