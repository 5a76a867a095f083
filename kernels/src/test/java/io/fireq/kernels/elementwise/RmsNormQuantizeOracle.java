package io.fireq.kernels.elementwise;

/** The norm in double, not quantized, and the scale that its quantization has. */
final class RmsNormQuantizeOracle {
    private RmsNormQuantizeOracle() {}

    static double[] norm(float[] x, float[] weight, float epsilon, int width) {
        double[] y = new double[x.length];
        for (int t = 0; t < x.length / width; t++) {
            double squares = 0;
            for (int i = 0; i < width; i++) {
                squares += (double) x[t * width + i] * x[t * width + i];
            }
            double norm = Math.sqrt(squares / width + epsilon);
            for (int i = 0; i < width; i++) {
                y[t * width + i] = x[t * width + i] * (double) weight[i] / norm;
            }
        }
        return y;
    }

    static double scale(double[] y, int row, int width) {
        double absmax = 0;
        for (int i = 0; i < width; i++) {
            absmax = Math.max(absmax, Math.abs(y[row * width + i]));
        }
        return absmax == 0 ? 1 : absmax / 448;
    }
}
