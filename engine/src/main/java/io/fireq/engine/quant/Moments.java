package io.fireq.engine.quant;

/**
 * Second moments of a linear layer's input x over the calibration tokens, H = Σ xxᵀ, and of a reference y with it,
 * C = Σ yxᵀ. Tokens that are held out are counted apart, to judge by them what was fitted to the others.
 */
final class Moments {
    private final MatrixMath math;
    private final int k;
    private final int nReference;
    private final float[] gram;
    private final float[] cross;
    private final float[] heldOutGram;
    private final float[] heldOutCross;
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
        gram = new float[Math.multiplyExact(k, k)];
        cross = new float[Math.multiplyExact(nReference, k)];
        heldOutGram = new float[nReference == 0 ? 0 : gram.length];
        heldOutCross = new float[cross.length];
    }

    /**
     * Adds tokens.
     *
     * @param x         {@code [nTokens, k]}
     * @param reference {@code [nTokens, nReference]}; unused where there is none
     */
    void add(float[] x, float[] reference, int nTokens, boolean heldOut) {
        boolean apart = heldOut && nReference > 0;
        math.addGram(x, nTokens, k, apart ? heldOutGram : gram);
        if (nReference > 0) {
            math.addCross(reference, nReference, x, k, nTokens, apart ? heldOutCross : cross);
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
            add(gram, heldOutGram);
            add(cross, heldOutCross);
            tokens += heldOutTokens;
            heldOutTokens = 0;
        }
        return part(gram, cross);
    }

    private Part part(float[] partGram, float[] partCross) {
        MatrixMath.mirror(partGram, k);
        return new Part(partGram, partCross);
    }

    private static void add(float[] to, float[] from) {
        for (int i = 0; i < to.length; i++) {
            to[i] += from[i];
        }
    }

    /**
     * @param gram  H, {@code [k, k]}
     * @param cross C, {@code [nReference, k]}
     */
    record Part(float[] gram, float[] cross) {}
}
