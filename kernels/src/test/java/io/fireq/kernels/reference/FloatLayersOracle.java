package io.fireq.kernels.reference;

/** A decoder layer's operations in double. */
final class FloatLayersOracle {
    private FloatLayersOracle() {}

    static double[] rmsNorm(float[] x, float[] weight, double epsilon) {
        int width = weight.length;
        double[] out = new double[x.length];
        for (int t = 0; t < x.length; t += width) {
            double squares = 0;
            for (int i = 0; i < width; i++) {
                squares += (double) x[t + i] * x[t + i];
            }
            for (int i = 0; i < width; i++) {
                out[t + i] = x[t + i] * (double) weight[i] / Math.sqrt(squares / width + epsilon);
            }
        }
        return out;
    }

    /** All heads of a token, rotated but for V; K times the smoothing, Q divided by it. */
    static double[] rope(float[] qkv, float[] cos, float[] sin, float[] kSmooth, FloatLayers.Heads heads) {
        int headDim = heads.headDim();
        int nAll = heads.nHeads() + 2 * heads.nKvHeads();
        double[] out = new double[qkv.length];
        for (int i = 0; i < qkv.length; i++) {
            int token = i / (nAll * headDim);
            int head = i / headDim % nAll;
            int c = i % headDim;
            boolean isLow = c < headDim / 2;
            int angle = token * headDim / 2 + c % (headDim / 2);
            double rotated = isLow
                    ? (double) qkv[i] * cos[angle] - (double) qkv[i + headDim / 2] * sin[angle]
                    : (double) qkv[i] * cos[angle] + (double) qkv[i - headDim / 2] * sin[angle];
            if (head < heads.nHeads()) {
                out[i] = rotated / kSmooth[head / (heads.nHeads() / heads.nKvHeads()) * headDim + c];
            } else if (head < heads.nHeads() + heads.nKvHeads()) {
                out[i] = rotated * kSmooth[(head - heads.nHeads()) * headDim + c];
            } else {
                out[i] = qkv[i];
            }
        }
        return out;
    }

    /** Causal attention. */
    static double[] attention(float[] query, float[] key, float[] value, int nTokens, FloatLayers.Heads heads) {
        int headDim = heads.headDim();
        int querySize = heads.nHeads() * headDim;
        int kvSize = heads.nKvHeads() * headDim;
        double[] out = new double[query.length];
        for (int head = 0; head < heads.nHeads(); head++) {
            int kvAt = head / (heads.nHeads() / heads.nKvHeads()) * headDim;
            for (int i = 0; i < nTokens; i++) {
                double[] p = new double[i + 1];
                double largest = Double.NEGATIVE_INFINITY;
                for (int j = 0; j <= i; j++) {
                    for (int c = 0; c < headDim; c++) {
                        p[j] += (double) query[i * querySize + head * headDim + c] * key[j * kvSize + kvAt + c]
                                / Math.sqrt(headDim);
                    }
                    largest = Math.max(largest, p[j]);
                }
                double sum = 0;
                for (int j = 0; j <= i; j++) {
                    p[j] = Math.exp(p[j] - largest);
                    sum += p[j];
                }
                for (int j = 0; j <= i; j++) {
                    for (int c = 0; c < headDim; c++) {
                        out[i * querySize + head * headDim + c] += p[j] / sum * value[j * kvSize + kvAt + c];
                    }
                }
            }
        }
        return out;
    }

    static double[] siluMul(float[] gateUp, int ffnSize) {
        double[] out = new double[gateUp.length / 2];
        for (int i = 0; i < out.length; i++) {
            double gate = gateUp[i / ffnSize * 2 * ffnSize + i % ffnSize];
            out[i] = gate / (1 + Math.exp(-gate)) * gateUp[i / ffnSize * 2 * ffnSize + ffnSize + i % ffnSize];
        }
        return out;
    }
}
