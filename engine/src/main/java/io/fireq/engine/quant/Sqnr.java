package io.fireq.engine.quant;

import io.fireq.engine.tensor.Chunks;
import io.fireq.engine.tensor.WeightMatrix;

/** Signal to quantization noise. */
final class Sqnr {
    private static final int ROWS = 512;

    private Sqnr() {}

    /** In decibels to two places; infinite where there is no noise. */
    static double decibels(double signal, double noise) {
        return Math.round(1000 * Math.log10(signal / noise)) / 100.0;
    }

    static double decibels(float[] weights, WeightMatrix matrix) {
        int k = matrix.k();
        double noise = 0;
        double[] squares = new double[Math.multiplyExact(Math.min(ROWS, matrix.n()), k)];
        for (int first = 0; first < matrix.n(); first += ROWS) {
            int from = first;
            int count = Math.min(ROWS, matrix.n() - from);
            Chunks.forEach(count, 8, (begin, end) -> {
                for (int i = begin * k; i < end * k; i++) {
                    double error = weights[from * k + i] - matrix.get(from + i / k, i % k);
                    squares[i] = error * error;
                }
            });
            for (int i = 0; i < count * k; i++) { // in order, whatever the number of threads
                noise += squares[i];
            }
        }
        return decibels(energy(weights), noise);
    }

    static double energy(float[] weights) {
        double energy = 0;
        for (float weight : weights) {
            energy += (double) weight * weight;
        }
        return energy;
    }
}
