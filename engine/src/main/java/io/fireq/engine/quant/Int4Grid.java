package io.fireq.engine.quant;

import io.fireq.engine.tensor.E4m3;

/** The sixteen values that a group's codes stand for, e4m3(q · σ), and the search for the nearest. */
final class Int4Grid {
    private final float[] values = new float[16];
    private float inverseScale;

    /** @param scale σ, an e4m3 value above 0 */
    void scale(float scale) {
        for (int code = -8; code <= 7; code++) {
            values[code + 8] = E4m3.round(code * scale);
        }
        inverseScale = 1 / scale;
    }

    /** @param code -8..7 */
    float value(int code) {
        return values[code + 8];
    }

    /** The code, -8..7, whose value is nearest to {@code x}. */
    int nearestCode(float x) {
        int guess = (int) Math.max(-8, Math.min(7, Math.rint(x * inverseScale)));
        int best = guess;
        float bestError = Math.abs(x - value(guess));
        // Product rounding moves a value by less than one step, so only the neighbours can be nearer.
        for (int code = Math.max(-8, guess - 1); code <= Math.min(7, guess + 1); code++) {
            float error = Math.abs(x - value(code));
            if (error < bestError) {
                bestError = error;
                best = code;
            }
        }
        return best;
    }
}
