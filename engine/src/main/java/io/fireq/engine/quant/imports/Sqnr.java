package io.fireq.engine.quant.imports;

import io.fireq.engine.tensor.WeightMatrix;
import java.util.stream.IntStream;

/** Signal to quantization noise of a weight matrix. */
final class Sqnr {
    private Sqnr() {}

    /** In decibels to two places; infinite where every weight is the same, NaN where one of them is. */
    static double db(SourceWeights source, WeightMatrix matrix) {
        double[] signal = new double[source.n()];
        double[] noise = new double[source.n()];
        IntStream.range(0, source.n()).parallel().forEach(row -> {
            for (int column = 0; column < source.k(); column++) {
                double wanted = source.get(row, column);
                double error = wanted - matrix.get(row, column);
                signal[row] += wanted * wanted;
                noise[row] += error * error;
            }
        });
        double totalNoise = sum(noise);
        if (Double.isNaN(totalNoise)) {
            return Double.NaN; // rounding would make it 0
        }
        return totalNoise == 0
                ? Double.POSITIVE_INFINITY
                : Math.round(1000 * Math.log10(sum(signal) / totalNoise)) / 100.0;
    }

    private static double sum(double[] values) {
        double sum = 0;
        for (double value : values) {
            sum += value;
        }
        return sum;
    }
}
