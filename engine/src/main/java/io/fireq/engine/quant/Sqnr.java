package io.fireq.engine.quant;

import io.fireq.engine.tensor.WeightMatrix;
import java.util.stream.IntStream;

/** Signal to quantization noise. */
public final class Sqnr {
    private Sqnr() {}

    /** In decibels to two places; infinite where there is no noise, NaN where that is not a number. */
    static double decibels(double signal, double noise) {
        if (Double.isNaN(noise)) {
            return Double.NaN; // rounding would make it 0
        }
        return noise == 0 ? Double.POSITIVE_INFINITY : Math.round(1000 * Math.log10(signal / noise)) / 100.0;
    }

    /** Of a matrix against what it stands for, as {@link #decibels(double, double)}. */
    public static double decibels(Weights wanted, WeightMatrix matrix) {
        double[] signal = new double[matrix.n()];
        double[] noise = new double[matrix.n()];
        IntStream.range(0, matrix.n()).parallel().forEach(row -> {
            float[] actual = new float[matrix.k()];
            matrix.copyRow(row, actual);
            double square = 0;
            double squaredError = 0;
            for (int column = 0; column < actual.length; column++) {
                double value = wanted.get(row, column);
                double error = value - actual[column];
                square += value * value;
                squaredError += error * error;
            }
            signal[row] = square;
            noise[row] = squaredError;
        });
        return decibels(sum(signal), sum(noise));
    }

    /** @param wanted row-major */
    static double decibels(float[] wanted, WeightMatrix matrix) {
        return decibels((row, column) -> wanted[row * matrix.k() + column], matrix);
    }

    static double energy(float[] weights) {
        double energy = 0;
        for (float weight : weights) {
            energy += (double) weight * weight;
        }
        return energy;
    }

    private static double sum(double[] values) {
        double sum = 0;
        for (double value : values) {
            sum += value;
        }
        return sum;
    }

    /** Weights by row and column; may be asked by several threads at once. */
    public interface Weights {
        float get(int row, int column);
    }
}
