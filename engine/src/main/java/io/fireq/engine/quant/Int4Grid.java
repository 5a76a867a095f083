package io.fireq.engine.quant;

import io.fireq.engine.tensor.E4m3;
import io.fireq.engine.tensor.Int4Matrix;

/** The sixteen values that a group's codes stand for, e4m3(sign(q) · magnitude · σ), and the search for the nearest. */
final class Int4Grid {
    private final float[] magnitudes;
    private final float[] values = new float[16];
    /** Where values[i] and values[i + 1] are equally near. */
    private final float[] middles = new float[15];

    /** The uniform table. */
    Int4Grid() {
        this(Int4Matrix.uniformMagnitudes());
    }

    /** @param magnitudes {@code [8]} ascending, behind |q| = 1..8 */
    Int4Grid(float[] magnitudes) {
        this.magnitudes = magnitudes.clone();
    }

    /** @param scale σ, an e4m3 value above 0 */
    void scale(float scale) {
        for (int magnitude = 1; magnitude <= 8; magnitude++) {
            float value = E4m3.round(magnitudes[magnitude - 1] * scale);
            values[8 - magnitude] = -value;
            if (magnitude < 8) {
                values[8 + magnitude] = value;
            }
        }
        for (int i = 0; i < 15; i++) {
            middles[i] = (values[i] + values[i + 1]) / 2;
        }
    }

    /** The scale at which the largest positive code stands for {@code absmax}. */
    float scaleFor(float absmax) {
        return absmax / magnitudes[6];
    }

    /** @param code -8..7 */
    float value(int code) {
        return values[code + 8];
    }

    /** The code, -8..7, whose value is nearest to {@code x}; NaN is 0. */
    int nearestCode(float x) {
        if (x != x) {
            return 0;
        }
        int i = x > middles[7] ? 8 : 0;
        i += x > middles[i + 3] ? 4 : 0;
        i += x > middles[i + 1] ? 2 : 0;
        i += x > middles[i] ? 1 : 0;
        return i - 8;
    }

    /** The value nearest to {@code x}. */
    float nearest(float x) {
        return values[nearestCode(x) + 8];
    }
}
