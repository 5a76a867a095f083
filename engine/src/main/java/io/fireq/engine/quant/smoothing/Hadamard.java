package io.fireq.engine.quant.smoothing;

import io.fireq.engine.tensor.Chunks;

/** The orthonormal Walsh-Hadamard transform in double. */
public final class Hadamard {
    private Hadamard() {}

    /** The largest power of two that divides {@code n}. */
    public static int largestBlock(int n) {
        return Integer.lowestOneBit(n);
    }

    /** The block that mixes the channels of a head in the KV cache; 0 where {@code headDim} is odd and nothing can be mixed. */
    public static int blockOfHead(int headDim) {
        return headDim % 2 == 0 ? largestBlock(headDim) : 0;
    }

    /** Transforms {@code x} in place, each run of {@code block} values by itself. */
    public static void apply(double[] x, int block) {
        for (int distance = 1; distance < block; distance *= 2) {
            for (int pair = 0; pair < x.length; pair += 2 * distance) {
                for (int i = pair; i < pair + distance; i++) {
                    double a = x[i];
                    double b = x[i + distance];
                    x[i] = a + b;
                    x[i + distance] = a - b;
                }
            }
        }
        double factor = 1 / Math.sqrt(block);
        for (int i = 0; i < x.length; i++) {
            x[i] *= factor;
        }
    }

    /** Transforms each row of {@code w [n, k]}. */
    static void applyToRows(float[] w, int k, int block) {
        Chunks.forEach(w.length / k, 32, (begin, end) -> {
            double[] row = new double[k];
            for (int at = begin * k; at < end * k; at += k) {
                for (int j = 0; j < k; j++) {
                    row[j] = w[at + j];
                }
                apply(row, block);
                for (int j = 0; j < k; j++) {
                    w[at + j] = (float) row[j];
                }
            }
        });
    }

    /** Transforms each column of {@code w [n, k]}. */
    static void applyToColumns(float[] w, int k, int block) {
        Chunks.forEach(k, 32, (begin, end) -> {
            double[] column = new double[w.length / k];
            for (int j = begin; j < end; j++) {
                for (int i = 0; i < column.length; i++) {
                    column[i] = w[i * k + j];
                }
                apply(column, block);
                for (int i = 0; i < column.length; i++) {
                    w[i * k + j] = (float) column[i];
                }
            }
        });
    }
}
