package io.fireq.kernels.elementwise;

/** The lowest index of each row's largest value, by the definition. */
final class ArgmaxRowsOracle {
    private ArgmaxRowsOracle() {}

    static int[] argmax(float[] x, int width) {
        int[] out = new int[x.length / width];
        for (int t = 0; t < out.length; t++) {
            int best = 0;
            boolean nan = false;
            for (int i = 0; i < width; i++) {
                float value = x[t * width + i];
                nan |= Float.isNaN(value);
                best = value > x[t * width + best] ? i : best;
            }
            out[t] = nan || Float.isInfinite(x[t * width + best]) ? -1 : best;
        }
        return out;
    }
}
