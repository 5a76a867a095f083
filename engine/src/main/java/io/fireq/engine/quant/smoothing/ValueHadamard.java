package io.fireq.engine.quant.smoothing;

/**
 * A Hadamard transform of each head's V, folded into value and output: the channels of a 4-bit group become alike, and
 * nothing is left to do at run time.
 */
public final class ValueHadamard {
    private ValueHadamard() {}

    /** Mixes runs of the largest power of two that divides the head. */
    public static void apply(BlockWeights block) {
        int size = Hadamard.largestBlock(block.config().headDim());
        Hadamard.applyToColumns(block.value(), block.config().hiddenSize(), size);
        Hadamard.applyToRows(block.output(), block.config().nHeads() * block.config().headDim(), size);
    }
}
