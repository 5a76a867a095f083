package io.fireq.engine.quant;

import io.fireq.engine.tensor.Int4Matrix;

/** The values behind the eight magnitudes of an INT4 code. */
public enum MagnitudeTable {
    /** 1, 2, … 8. */
    UNIFORM(Int4Matrix.uniformMagnitudes()),
    /**
     * Closer together near zero, as weights are: the levels that round normally distributed numbers with the least
     * squared error (Lloyd and Max), brought to 7 at the seventh, and an eighth, which only negative numbers have.
     */
    NORMAL(new float[] {0.7157f, 1.4505f, 2.2254f, 3.0735f, 4.0441f, 5.2449f, 7f, 8.2f});

    private final float[] magnitudes;

    MagnitudeTable(float[] magnitudes) {
        this.magnitudes = magnitudes;
    }

    /** {@code [8]}, ascending. */
    float[] magnitudes() {
        return magnitudes.clone();
    }
}
