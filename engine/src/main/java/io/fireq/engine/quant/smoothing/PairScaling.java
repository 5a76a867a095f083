package io.fireq.engine.quant.smoothing;

import io.fireq.engine.model.ModelConfig;

/**
 * Scalings of a channel between the layer that makes it and the one that takes it: one side is multiplied by s, the other
 * by 1/s. FireQ's Λ1 to Λ3 and N, and the one it leaves out, at the input of the attention.
 *
 * <pre>{@code
 *   inputNorm ──s──> query, key, value        key ──N──> query (through the rotation)
 *   value ──s──> output (all query heads that share the K/V head)
 *   postNorm ──s──> gate, up                  up ──s──> down
 * }</pre>
 */
public final class PairScaling {
    private PairScaling() {}

    /** Columns of query, key and value times s, the norm in front of them divided by it. */
    public static void attentionInput(BlockWeights block, double[] s) {
        Scales.multiply(block.inputNorm(), Scales.inverse(s));
        Scales.multiplyColumns(block.query(), s);
        Scales.multiplyColumns(block.key(), s);
        Scales.multiplyColumns(block.value(), s);
    }

    /** Λ2: columns of gate and up times s, the norm in front of them divided by it. */
    public static void mlpInput(BlockWeights block, double[] s) {
        Scales.multiply(block.postNorm(), Scales.inverse(s));
        Scales.multiplyColumns(block.gate(), s);
        Scales.multiplyColumns(block.up(), s);
    }

    /** Λ3: columns of down times s, rows of up divided by it. */
    public static void upDown(BlockWeights block, double[] s) {
        Scales.multiplyRows(block.up(), block.config().hiddenSize(), Scales.inverse(s));
        Scales.multiplyColumns(block.down(), s);
    }

    /**
     * Λ1: columns of output times s, rows of value divided by it.
     *
     * @param s {@code [nKvHeads · headDim]}; the query heads of a group take the same values
     */
    public static void valueOutput(BlockWeights block, double[] s) {
        Scales.multiplyRows(block.value(), block.config().hiddenSize(), Scales.inverse(s));
        Scales.multiplyColumns(block.output(), perQueryHead(block.config(), s));
    }

    /**
     * N: rows of key times n, rows of query divided by it. Both channels of a rotated pair need the same factor: then it
     * passes through the rotation.
     *
     * @param n {@code [nKvHeads · headDim]}
     */
    public static void keyQuery(BlockWeights block, double[] n) {
        int headDim = block.config().headDim();
        for (int i = 0; i < n.length; i++) {
            int partner = i / headDim * headDim + (i + headDim / 2) % headDim;
            if (n[i] != n[partner]) {
                throw new IllegalArgumentException(
                        "Key scaling: channels %d and %d rotate together but have factors %s and %s"
                                .formatted(i, partner, n[i], n[partner]));
            }
        }
        Scales.multiplyRows(block.key(), block.config().hiddenSize(), n);
        Scales.multiplyRows(block.query(), block.config().hiddenSize(),
                Scales.inverse(perQueryHead(block.config(), n)));
    }

    /** S: K times s after the rotation, at run time, and Q divided by it. */
    public static void rotatedKey(BlockWeights block, double[] s) {
        Scales.multiply(block.keySmooth(), s);
    }

    private static double[] perQueryHead(ModelConfig config, double[] perKvHead) {
        double[] s = new double[config.nHeads() * config.headDim()];
        for (int i = 0; i < s.length; i++) {
            int kvHead = i / config.headDim() / (config.nHeads() / config.nKvHeads());
            s[i] = perKvHead[kvHead * config.headDim() + i % config.headDim()];
        }
        return s;
    }
}
