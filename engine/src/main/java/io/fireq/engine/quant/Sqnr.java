package io.fireq.engine.quant;

import io.fireq.engine.tensor.WeightMatrix;

/** Signal to quantization noise. */
final class Sqnr {
    private Sqnr() {}

    /** In decibels to two places; infinite where there is no noise. */
    static double decibels(double signal, double noise) {
        return Math.round(1000 * Math.log10(signal / noise)) / 100.0;
    }

    static double decibels(float[] weights, WeightMatrix matrix) {
        double noise = 0;
        int i = 0;
        for (int row = 0; row < matrix.n(); row++) {
            for (int column = 0; column < matrix.k(); column++, i++) {
                double error = weights[i] - matrix.get(row, column);
                noise += error * error;
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
