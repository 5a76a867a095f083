package io.fireq.engine.quant;

import io.fireq.engine.tensor.Int4Matrix;

/** What the sixteen codes of an INT4 weight stand for; both families have fast kernels. */
public enum CodeTable {
    /** −8..7, the paper's. */
    INTEGERS(Int4Matrix.integers()),
    /**
     * Closer together near zero, as weights are: the sixteen levels that round normally distributed numbers with the
     * least squared error (Lloyd and Max), brought to 7 at the largest.
     */
    NORMAL(Int4Matrix.signMagnitude(0.3289f, 0.9940f, 1.6823f, 2.4138f, 3.2170f, 4.1442f, 5.2993f, 7f));

    private final float[] levels;

    CodeTable(float[] levels) {
        this.levels = levels;
    }

    /** {@code [16]} by code. */
    float[] levels() {
        return levels.clone();
    }
}
