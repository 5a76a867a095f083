package io.fireq.kernels.gemm;

import io.fireq.kernels.testing.Formats;

/** A linear layer in double on host arrays: {@code y[t,n] = xScale[t] · rowScale[n] · Σ_k x[t,k] · w8[n,k]}. */
final class LinearOracle {
    private LinearOracle() {}

    /** The values that the tensor core would multiply, {@code [n, k]}. */
    static float[] int4Values(byte[] codes, byte[] groupScales, float[] levels, int n, int k, int groupSize) {
        float[] values = new float[n * k];
        for (int row = 0; row < n; row++) {
            for (int column = 0; column < k; column++) {
                int pair = codes[row * ((k + 1) / 2) + column / 2];
                int nibble = pair >> column % 2 * 4 & 15;
                float scale = Formats.fromE4m3(groupScales[row * (k / groupSize) + column / groupSize]);
                values[row * k + column] = Formats.fromE4m3(Formats.e4m3(levels[nibble] * scale));
            }
        }
        return values;
    }

    /** The sixteen values by nibble of two's complement codes: {@code sign(q) * magnitudes[|q| - 1]}, and 0. */
    static float[] twosComplement(float... magnitudes) {
        float[] levels = new float[16];
        for (int q = 1; q <= 8; q++) {
            levels[16 - q] = -magnitudes[q - 1];
            if (q < 8) {
                levels[q] = magnitudes[q - 1];
            }
        }
        return levels;
    }

    /** The sixteen values by nibble of codes that are a sign and an index. */
    static float[] signMagnitude(float... magnitudes) {
        float[] levels = new float[16];
        for (int i = 0; i < 8; i++) {
            levels[i] = magnitudes[i];
            levels[8 + i] = -magnitudes[i];
        }
        return levels;
    }

    static float[] e4m3Values(byte[] codes) {
        float[] values = new float[codes.length];
        for (int i = 0; i < codes.length; i++) {
            values[i] = Formats.fromE4m3(codes[i]);
        }
        return values;
    }

    /**
     * The result before the epilogue, and a bound of what float32 sums may add to it.
     *
     * @param y     {@code [m, n]}
     * @param noise {@code [m, n]}
     */
    record Result(double[] y, double[] noise) {}

    static Result multiply(float[] x, float[] xScale, float[] w, float[] rowScale, int m, int n, int k) {
        double[] y = new double[m * n];
        double[] noise = new double[m * n];
        for (int t = 0; t < m; t++) {
            for (int row = 0; row < n; row++) {
                double sum = 0;
                double magnitude = 0;
                for (int i = 0; i < k; i++) {
                    double product = (double) x[t * k + i] * w[row * k + i];
                    sum += product;
                    magnitude += Math.abs(product);
                }
                double scale = (double) xScale[t] * rowScale[row];
                y[t * n + row] = scale * sum;
                noise[t * n + row] = Math.abs(scale) * magnitude * (k + 4) * 0x1p-24;
            }
        }
        return new Result(y, noise);
    }
}
