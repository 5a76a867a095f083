package io.fireq.engine.quant;

import java.util.Arrays;

/**
 * Second moments of a linear layer's input x over the calibration tokens, H = Σ xxᵀ, and of a reference y with it,
 * C = Σ yxᵀ. Tokens that are held out are counted apart, to judge by them what was fitted to the others.
 */
final class Moments implements AutoCloseable {
    private final MatrixMath math;
    private final int k;
    private final int nReference;
    private final Matrix gram;
    private final Matrix cross;
    private final Matrix heldOutGram;
    private final Matrix heldOutCross;
    private long tokens;
    private long heldOutTokens;

    /**
     * @param k          width of the input
     * @param nReference width of the reference; 0 for none
     */
    Moments(MatrixMath math, int k, int nReference) {
        this.math = math;
        this.k = k;
        this.nReference = nReference;
        gram = math.zeros(k, k);
        cross = nReference == 0 ? null : math.zeros(nReference, k);
        heldOutGram = nReference == 0 ? null : math.zeros(k, k);
        heldOutCross = nReference == 0 ? null : math.zeros(nReference, k);
    }

    /**
     * Adds tokens.
     *
     * @param x         {@code [nTokens, k]}
     * @param reference {@code [nTokens, nReference]}; unused where there is none
     */
    void add(float[] x, float[] reference, int nTokens, boolean heldOut) {
        boolean apart = heldOut && nReference > 0;
        math.addGram(x, nTokens, apart ? heldOutGram : gram);
        if (nReference > 0) {
            math.addCross(reference, x, nTokens, apart ? heldOutCross : cross);
        }
        if (apart) {
            heldOutTokens += nTokens;
        } else {
            tokens += nTokens;
        }
    }

    int k() {
        return k;
    }

    int nReference() {
        return nReference;
    }

    /** Tokens in all. */
    long tokens() {
        return tokens + heldOutTokens;
    }

    boolean hasHeldOut() {
        return heldOutTokens > 0 && tokens > 0;
    }

    /** The moments without the held out tokens, both triangles. */
    Part fitted() {
        return part(gram, cross);
    }

    /** The moments of the held out tokens alone. */
    Part heldOut() {
        return part(heldOutGram, heldOutCross);
    }

    /** The moments of all tokens; what was apart is joined and no longer to be had by itself. */
    Part joined() {
        if (heldOutTokens > 0) {
            math.add(gram, heldOutGram);
            math.add(cross, heldOutCross);
            tokens += heldOutTokens;
            heldOutTokens = 0;
        }
        return part(gram, cross);
    }

    private Part part(Matrix partGram, Matrix partCross) {
        math.mirror(partGram);
        return new Part(partGram, partCross);
    }

    @Override
    public void close() {
        Matrix.closeAll(Arrays.asList(gram, cross, heldOutGram, heldOutCross));
    }

    /**
     * Matrices of the moments; they are closed with these.
     *
     * @param gram  H, {@code [k, k]}
     * @param cross C, {@code [nReference, k]}; null without a reference
     */
    record Part(Matrix gram, Matrix cross) {}
}
