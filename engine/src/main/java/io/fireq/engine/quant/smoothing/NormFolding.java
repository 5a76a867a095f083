package io.fireq.engine.quant.smoothing;

import java.util.Arrays;

/** Moves the weight of a norm into the columns of the layers behind it; the norm's own weight becomes one. */
public final class NormFolding {
    private NormFolding() {}

    public static void apply(BlockWeights block) {
        double[] input = doubles(block.inputNorm());
        Scales.multiplyColumns(block.query(), input);
        Scales.multiplyColumns(block.key(), input);
        Scales.multiplyColumns(block.value(), input);
        Arrays.fill(block.inputNorm(), 1);
        double[] post = doubles(block.postNorm());
        Scales.multiplyColumns(block.gate(), post);
        Scales.multiplyColumns(block.up(), post);
        Arrays.fill(block.postNorm(), 1);
    }

    /** As {@link #apply(BlockWeights)}, for the final norm and the output head {@code [vocabSize, hiddenSize]}. */
    public static void apply(float[] finalNorm, float[] head) {
        Scales.multiplyColumns(head, doubles(finalNorm));
        Arrays.fill(finalNorm, 1);
    }

    private static double[] doubles(float[] values) {
        double[] doubles = new double[values.length];
        for (int i = 0; i < values.length; i++) {
            doubles[i] = values[i];
        }
        return doubles;
    }
}
