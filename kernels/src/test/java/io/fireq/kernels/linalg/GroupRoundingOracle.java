package io.fireq.kernels.linalg;

import io.fireq.kernels.testing.Formats;

/** Rounding of {@code [n, k]} by its definition, in float32 one operation after the other. */
final class GroupRoundingOracle {
    private static final int CODES = 16;

    private final float[] levels;
    private final int[] codeOf;
    private final int n;
    private final int k;
    private final int groupSize;
    private final byte[] scales;
    private final float[] rounded;
    private final byte[] codes;

    GroupRoundingOracle(float[] levels, int[] codeOf, int n, int k, int groupSize) {
        this.levels = levels;
        this.codeOf = codeOf;
        this.n = n;
        this.k = k;
        this.groupSize = groupSize;
        scales = new byte[n * (k / groupSize)];
        rounded = new float[n * k];
        codes = new byte[n * k];
    }

    float[] rounded() {
        return rounded;
    }

    byte[] codes() {
        return codes;
    }

    byte[] scales() {
        return scales;
    }

    private float[] products(byte sigma) {
        float[] products = new float[CODES];
        for (int i = 0; i < CODES; i++) {
            products[i] = Formats.fromE4m3(Formats.e4m3(levels[i] * Formats.fromE4m3(sigma)));
        }
        return products;
    }

    private static int nearest(float[] products, float x) {
        int rank = 0;
        for (int i = 0; i < CODES - 1; i++) {
            rank += x > (products[i] + products[i + 1]) / 2 ? 1 : 0;
        }
        return rank;
    }

    /** The error of a group under a scale. */
    double error(float[] group, float[] importance, byte sigma) {
        float[] products = products(sigma);
        double error = 0;
        for (int j = 0; j < group.length; j++) {
            double difference = group[j] - products[nearest(products, group[j])];
            error += importance[j] * difference * difference;
        }
        return error;
    }

    /** The scale of least error among those that are tried. */
    byte bestScale(float[] group, float[] importance) {
        float absmax = 0;
        for (float x : group) {
            absmax = Math.max(absmax, Math.abs(x));
        }
        float nominal = absmax / levels[CODES - 1];
        int lowest = Math.max(1, Formats.e4m3(nominal * 0.45f));
        int highest = Math.max(lowest, Formats.e4m3(nominal * 1.15f));
        byte best = (byte) lowest;
        for (int code = lowest; code <= highest; code++) {
            if (error(group, importance, (byte) code) < error(group, importance, best)) {
                best = (byte) code;
            }
        }
        return best;
    }

    /**
     * Rounds each weight by itself.
     *
     * @param chosen {@code [n, k/groupSize]} scales to take; null to search for them
     */
    void round(float[] rest, byte[] chosen, float[] importance) {
        for (int row = 0; row < n; row++) {
            for (int from = 0; from < k; from += groupSize) {
                float[] group = java.util.Arrays.copyOfRange(rest, row * k + from, row * k + from + groupSize);
                float[] weight = java.util.Arrays.copyOfRange(importance, from, from + groupSize);
                int at = row * (k / groupSize) + from / groupSize;
                scales[at] = chosen == null ? bestScale(group, weight) : chosen[at];
                float[] products = products(scales[at]);
                for (int j = 0; j < groupSize; j++) {
                    store(row * k + from + j, products, nearest(products, group[j]));
                }
            }
        }
    }

    /**
     * Rounds one group with feedback inside of it.
     *
     * @param chosen the scale of each row
     * @return {@code [n, groupSize]} the negative errors
     */
    float[] roundWithFeedback(float[] rest, float[] triangle, int[] order, int groupIndex, byte[] chosen) {
        int from = groupIndex * groupSize;
        float[] errors = new float[n * groupSize];
        for (int row = 0; row < n; row++) {
            float[] group = java.util.Arrays.copyOfRange(rest, row * k + from, row * k + from + groupSize);
            scales[row * (k / groupSize) + order[from] / groupSize] = chosen[row];
            float[] products = products(chosen[row]);
            for (int j = 0; j < groupSize; j++) {
                int rank = nearest(products, group[j]);
                store(row * k + order[from + j], products, rank);
                float error = (group[j] - products[rank]) / triangle[(from + j) * k + from + j];
                errors[row * groupSize + j] = -error;
                for (int i = j + 1; i < groupSize; i++) {
                    group[i] -= error * triangle[(from + j) * k + from + i];
                }
            }
        }
        return errors;
    }

    /** Sweeps over one group; returns what changed. */
    float[] refine(float[] gradient, float[] gram, int groupIndex) {
        int from = groupIndex * groupSize;
        float[] changes = new float[n * groupSize];
        for (int row = 0; row < n; row++) {
            float[] slope = java.util.Arrays.copyOfRange(gradient, row * k + from, row * k + from + groupSize);
            float[] products = products(scales[row * (k / groupSize) + groupIndex]);
            for (int j = 0; j < groupSize; j++) {
                float old = rounded[row * k + from + j];
                int rank = nearest(products, old + slope[j] / gram[(from + j) * k + from + j]);
                float change = products[rank] - old;
                changes[row * groupSize + j] = -change;
                if (change != 0) {
                    store(row * k + from + j, products, rank);
                    for (int i = 0; i < groupSize; i++) {
                        slope[i] -= change * gram[(from + j) * k + from + i];
                    }
                }
            }
        }
        return changes;
    }

    /** {@code [n, 2]}: Σ (w − rowScale·rounded)² and the weights out of range. */
    double[] errors(float[] w, float[] rowScale) {
        double[] errors = new double[2 * n];
        for (int i = 0; i < n * k; i++) {
            int row = i / k;
            float[] products = products(scales[row * (k / groupSize) + i % k / groupSize]);
            double difference = w[i] - (double) rowScale[row] * rounded[i];
            errors[2 * row] += difference * difference;
            float x = w[i] / rowScale[row];
            errors[2 * row + 1] += x > products[CODES - 1] || x < products[0] ? 1 : 0;
        }
        return errors;
    }

    byte[] packed() {
        int rowBytes = (k + 1) / 2;
        byte[] packed = new byte[n * rowBytes];
        for (int i = 0; i < n * k; i++) {
            packed[i / k * rowBytes + i % k / 2] |= (byte) ((codes[i] & 15) << i % k % 2 * 4);
        }
        return packed;
    }

    private void store(int at, float[] products, int rank) {
        codes[at] = (byte) codeOf[rank];
        rounded[at] = products[rank];
    }
}
