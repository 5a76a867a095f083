package io.fireq.kernels.attention;

import io.fireq.kernels.testing.Formats;

/** Attention of one query row over its cache in double, with the e4m3 rounding of the weights. */
final class AttentionOracle {
    /** By how much a kernel's scale of the weights may exceed the least that keeps them within e4m3: its headroom. */
    private static final double HEADROOM = 8;

    private AttentionOracle() {}

    /** One (token, head)'s view of the cache, {@code [kvLen, headDim]} codes and {@code [kvLen, groups]} params. */
    record Rows(int[][] kCodes, double[][] kScale, double[][] kZero, int[][] vCodes, double[][] vScale,
            double[][] vZero) {}

    /**
     * The output, and what its rounding errors are relative to.
     *
     * @param out       {@code [headDim]}
     * @param magnitude {@code [headDim]} sum of magnitudes
     * @param rounding  {@code [headDim]} the most that rounding every weight to e4m3 moves the output, whatever scale up
     *                  to {@link #HEADROOM} times the largest V scale in reach / 448 the weights have
     * @param variance  {@code [headDim]} the mean square of that, if each rounding error is evenly spread over its step
     */
    record Result(double[] out, double[] magnitude, double[] rounding, double[] variance) {}

    static Result attend(float[] query, double queryScale, Rows rows, int groupSize) {
        return attend(query, queryScale, rows, rows, groupSize, true);
    }

    /**
     * What {@link #attend} would be if weights were not rounded: the value that rounding errors are measured from.
     *
     * @param inReach rows whose V scales a kernel may choose its scale by: all of the tiles that it goes through, also
     *                those that the query does not see
     */
    static Result attendExactly(float[] query, double queryScale, Rows rows, Rows inReach, int groupSize) {
        return attend(query, queryScale, rows, inReach, groupSize, false);
    }

    private static Result attend(float[] query, double queryScale, Rows rows, Rows inReach, int groupSize,
            boolean roundWeights) {
        int headDim = query.length;
        int groups = headDim / groupSize;
        int kvLen = rows.kCodes().length;
        double[] score = new double[kvLen];
        double max = Double.NEGATIVE_INFINITY;
        for (int s = 0; s < kvLen; s++) {
            double total = 0;
            for (int c = 0; c < headDim; c++) {
                int g = c / groupSize;
                total += query[c] * rows.kScale()[s][g] * (rows.kCodes()[s][c] - rows.kZero()[s][g]);
            }
            score[s] = queryScale / Math.sqrt(headDim) * total;
            max = Math.max(max, score[s]);
        }
        double sum = 0;
        double[] prob = new double[kvLen];
        for (int s = 0; s < kvLen; s++) {
            prob[s] = Math.exp(score[s] - max);
            sum += prob[s];
        }
        double[] out = new double[headDim];
        double[] magnitude = new double[headDim];
        double[] rounding = new double[headDim];
        double[] variance = new double[headDim];
        for (int g = 0; g < groups; g++) {
            double absmax = 0;
            for (int s = 0; s < kvLen; s++) {
                absmax = Math.max(absmax, Math.abs(prob[s] * rows.vScale()[s][g]));
            }
            double aScale = absmax == 0 ? 1 : absmax / 448;
            double looseScale = HEADROOM * largest(inReach.vScale(), g) / 448;
            for (int s = 0; s < kvLen; s++) {
                double exact = prob[s] * rows.vScale()[s][g];
                // Half a step of e4m3: of the smallest normal number below it, and never more than the weight.
                double halfStep = Math.max(Math.abs(exact) / 16, Math.min(Math.abs(exact), looseScale * 0x1p-10));
                double a = roundWeights ? Formats.fromE4m3(Formats.e4m3(exact / aScale)) * aScale : exact;
                for (int c = g * groupSize; c < (g + 1) * groupSize; c++) {
                    double value = rows.vCodes()[s][c] - rows.vZero()[s][g];
                    out[c] += a * value / sum;
                    magnitude[c] += Math.abs(a * value) / sum;
                    rounding[c] += halfStep * Math.abs(value) / sum;
                    variance[c] += halfStep * halfStep * value * value / (3 * sum * sum);
                }
            }
        }
        return new Result(out, magnitude, rounding, variance);
    }

    private static double largest(double[][] scales, int group) {
        double largest = 0;
        for (double[] row : scales) {
            largest = Math.max(largest, Math.abs(row[group]));
        }
        return largest;
    }
}
