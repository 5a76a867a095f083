package io.fireq.engine.quant.smoothing;

import java.util.Arrays;
import java.util.SplittableRandom;

/**
 * A rotation of the residual stream: random signs, then a Hadamard transform of runs of the largest power of two that
 * divides its width. Folded into everything that reads or writes the stream; it needs folded norms, whose weights it
 * would not commute with, and costs nothing at run time. A tied head and embedding part company through it.
 */
public final class ResidualRotation {
    private final double[] signs;
    private final int block;

    public ResidualRotation(int hiddenSize, long seed) {
        SplittableRandom random = new SplittableRandom(seed);
        signs = new double[hiddenSize];
        Arrays.setAll(signs, i -> random.nextBoolean() ? 1 : -1);
        block = Hadamard.largestBlock(hiddenSize);
    }

    /** Rotates what the layer reads and what it adds. */
    public void apply(BlockWeights weights) {
        for (float[] reader : new float[][] {weights.query(), weights.key(), weights.value(), weights.gate(),
                weights.up()}) {
            applyToRows(reader);
        }
        applyToColumns(weights.output());
        applyToColumns(weights.down());
    }

    /** Rotates the rows of a table {@code [n, hiddenSize]}: embedding or head. */
    public void applyToRows(float[] table) {
        Scales.multiplyColumns(table, signs);
        Hadamard.applyToRows(table, signs.length, block);
    }

    private void applyToColumns(float[] w) {
        int k = w.length / signs.length;
        Scales.multiplyRows(w, k, signs);
        Hadamard.applyToColumns(w, k, block);
    }
}
