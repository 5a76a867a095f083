package io.fireq.engine.backend.cpu;

/** Root mean square normalization of one row. */
final class RmsNorm {
    private RmsNorm() {}

    /** {@code out[i] = x[i] · weight[i] / sqrt(mean(x²) + epsilon)}, float32. */
    static void normalize(float[] x, int offset, float[] weight, float epsilon, float[] out) {
        float root = (float) Math.sqrt(sumOfSquares(x, offset, weight.length) / weight.length + epsilon);
        for (int i = 0; i < weight.length; i++) {
            out[i] = x[offset + i] * weight[i] / root;
        }
    }

    /** Four sums side by side: one alone would wait for every addition. */
    private static float sumOfSquares(float[] x, int offset, int count) {
        float s0 = 0;
        float s1 = 0;
        float s2 = 0;
        float s3 = 0;
        int i = 0;
        for (; i + 4 <= count; i += 4) {
            float a = x[offset + i];
            float b = x[offset + i + 1];
            float c = x[offset + i + 2];
            float d = x[offset + i + 3];
            s0 += a * a;
            s1 += b * b;
            s2 += c * c;
            s3 += d * d;
        }
        for (; i < count; i++) {
            s0 += x[offset + i] * x[offset + i];
        }
        return s0 + s1 + (s2 + s3);
    }
}
