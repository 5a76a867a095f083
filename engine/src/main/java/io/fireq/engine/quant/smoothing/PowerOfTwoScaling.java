package io.fireq.engine.quant.smoothing;

/**
 * Divides the channels between value and output, up and down, key and query by a power of two that brings the root mean
 * square of their weights between 1 and 2. Powers of two are exact, so a model whose channels somebody scaled by other
 * powers of two comes out the same, bit for bit: what follows cannot depend on them. Needs folded norms to do the same
 * for the inputs.
 */
public final class PowerOfTwoScaling {
    private PowerOfTwoScaling() {}

    public static void apply(BlockWeights block) {
        int hiddenSize = block.config().hiddenSize();
        PairScaling.valueOutput(block, powers(Scales.rowSquares(block.value(), hiddenSize), hiddenSize));
        PairScaling.upDown(block, powers(Scales.rowSquares(block.up(), hiddenSize), hiddenSize));
        PairScaling.keyQuery(block, Scales.inverse(powers(pairs(block), 2 * hiddenSize)));
    }

    /** Sums of squares of rotated pairs of key rows, the same for both. */
    private static double[] pairs(BlockWeights block) {
        double[] squares = Scales.rowSquares(block.key(), block.config().hiddenSize());
        int headDim = block.config().headDim();
        double[] pairs = new double[squares.length];
        for (int i = 0; i < pairs.length; i++) {
            pairs[i] = squares[i] + squares[i / headDim * headDim + (i + headDim / 2) % headDim];
        }
        return pairs;
    }

    private static double[] powers(double[] squares, int count) {
        double[] powers = new double[squares.length];
        for (int i = 0; i < powers.length; i++) {
            double rms = Math.sqrt(squares[i] / count);
            boolean usable = rms > 0 && rms < Double.POSITIVE_INFINITY; // a dead channel stays as it is
            powers[i] = usable ? Math.scalb(1.0, Math.getExponent(rms)) : 1;
        }
        return powers;
    }
}
