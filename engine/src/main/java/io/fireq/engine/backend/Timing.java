package io.fireq.engine.backend;

import java.util.Arrays;

/**
 * What repeated measurements of the same work say, in microseconds.
 *
 * @param micros median
 * @param low    10th percentile
 * @param high   90th percentile
 * @param n      measurements
 */
public record Timing(double micros, double low, double high, int n) {

    /** Of the measurements in any order; at least one. */
    public static Timing of(double[] micros) {
        double[] sorted = micros.clone();
        Arrays.sort(sorted);
        double median = (sorted[(sorted.length - 1) / 2] + sorted[sorted.length / 2]) / 2;
        return new Timing(median, at(sorted, 0.1), at(sorted, 0.9), sorted.length);
    }

    private static double at(double[] sorted, double share) {
        return sorted[(int) Math.round(share * (sorted.length - 1))];
    }
}
