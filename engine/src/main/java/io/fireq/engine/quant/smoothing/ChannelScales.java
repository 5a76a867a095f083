package io.fireq.engine.quant.smoothing;

import io.fireq.engine.tensor.Chunks;

/** How large a channel's scale should be. */
public final class ChannelScales {
    /** Largest ratio of a scale to the typical one: a channel that is nearly dead must not blow up its partner. */
    private static final double MAX_RATIO = 1e4;

    private static final int COLUMNS = 128;

    private ChannelScales() {}

    /**
     * {@code activation^a / weight^(1−a)}, brought to a geometric mean of one: multiplying the weights of channel j by it
     * and dividing its activations gives the same result, whatever scale channel j came in.
     *
     * @param activation {@code [k]} typical magnitude of what flows through each channel
     * @param weight     {@code [k]} typical magnitude of the weights that take it
     * @param a          share of the activations, 0 to 1
     */
    public static double[] balanced(double[] activation, double[] weight, double a) {
        int k = activation.length;
        double[] scales = new double[k];
        double logSum = 0;
        int alive = 0;
        for (int j = 0; j < k; j++) {
            scales[j] = Math.pow(activation[j], a) / Math.pow(weight[j], 1 - a);
            if (isUsable(scales[j])) {
                logSum += Math.log(scales[j]);
                alive++;
            }
        }
        double mean = alive == 0 ? 1 : Math.exp(logSum / alive);
        for (int j = 0; j < k; j++) {
            scales[j] = isUsable(scales[j]) ? Math.max(1 / MAX_RATIO, Math.min(MAX_RATIO, scales[j] / mean)) : 1;
        }
        return scales;
    }

    /**
     * The paper's: {@code constant / mean_i |w[i,j]|} over the rows of all matrices; 1 for a column of zeros.
     *
     * @param k        columns
     * @param matrices each {@code [n, k]}
     */
    public static double[] overColumnMean(double constant, int k, float[]... matrices) {
        double[] sums = new double[k];
        int rows = 0;
        for (float[] w : matrices) {
            Chunks.forEach(k, COLUMNS, (begin, end) -> { // a column's sum is in the order of its rows
                for (int row = 0; row < w.length; row += k) {
                    for (int j = begin; j < end; j++) {
                        sums[j] += Math.abs(w[row + j]);
                    }
                }
            });
            rows += w.length / k;
        }
        double[] scales = new double[k];
        for (int j = 0; j < k; j++) {
            scales[j] = isUsable(sums[j]) ? constant / (sums[j] / rows) : 1;
        }
        return scales;
    }

    /** Root mean square of each column over the rows of all matrices. */
    public static double[] columnRms(int k, float[]... matrices) {
        double[] squares = new double[k];
        int rows = 0;
        for (float[] w : matrices) {
            Scales.addColumnSquares(w, squares);
            rows += w.length / k;
        }
        for (int j = 0; j < k; j++) {
            squares[j] = Math.sqrt(squares[j] / rows);
        }
        return squares;
    }

    private static boolean isUsable(double x) {
        return x > 0 && x < Double.POSITIVE_INFINITY;
    }
}
