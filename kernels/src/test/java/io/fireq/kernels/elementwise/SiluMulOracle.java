package io.fireq.kernels.elementwise;

/** {@code silu(gate) · up} in double. */
final class SiluMulOracle {
    private SiluMulOracle() {}

    static double[] product(float[] gateUp, int ffnSize) {
        double[] out = new double[gateUp.length / 2];
        for (int i = 0; i < out.length; i++) {
            int token = i / ffnSize;
            double gate = gateUp[token * 2 * ffnSize + i % ffnSize];
            double up = gateUp[token * 2 * ffnSize + ffnSize + i % ffnSize];
            out[i] = gate / (1 + Math.exp(-gate)) * up;
        }
        return out;
    }
}
