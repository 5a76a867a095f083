package io.fireq.engine.sampling;

/**
 * Unnormalized probabilities as integers: {@code exp((logit - max) / temperature)} in units of 2⁻⁴⁰, rounded down. Sums of
 * integers do not depend on their order, and what makes them is float32 arithmetic that is the same everywhere, so any
 * backend draws the same token from the same logits. 2²³ weights of 1 do not overflow their sum.
 */
final class Weighting {
    private static final float ONE = 0x1p40f;
    private static final double LOG2_E = 1.4426950408889634;
    /** 1.5 · 2²³: adding it leaves the nearest integer in the low bits. */
    private static final float TO_INTEGER = 12582912f;
    private static final int TO_INTEGER_BITS = 0x4b400000;

    private final float max;
    private final float scale;
    private final long least;

    /**
     * @param max         the largest logit
     * @param temperature above 0
     */
    Weighting(float max, float temperature) {
        this(max, Math.min((float) (LOG2_E / temperature), Float.MAX_VALUE), 0);
    }

    private Weighting(float max, float scale, long least) {
        this.max = max;
        this.scale = scale;
        this.least = least;
    }

    /** This weighting with 0 instead of weights below a share of the largest. */
    Weighting atLeast(float share) {
        return new Weighting(max, scale, (long) (share * ONE));
    }

    /** The weight of a logit; 2⁴⁰ for the largest. */
    long of(float logit) {
        float t = (logit - max) * scale;
        if (!(t >= -40)) {
            return 0;
        }
        float shifted = t + TO_INTEGER;
        float f = t - (shifted - TO_INTEGER);
        // 2^f by its Taylor series, |f| <= 1/2: off by 1.2e-7 at most, and 1 at 0.
        float p = 1.5403530e-4f;
        p = p * f + 1.3333558e-3f;
        p = p * f + 9.6181291e-3f;
        p = p * f + 5.5504109e-2f;
        p = p * f + 2.4022651e-1f;
        p = p * f + 6.9314718e-1f;
        p = p * f + 1;
        int exponent = Float.floatToRawIntBits(shifted) - TO_INTEGER_BITS + 40;
        long weight = (long) (p * Float.intBitsToFloat(exponent + 127 << 23));
        return weight >= least ? weight : 0;
    }

    /** A share below 1 of a sum of weights, rounded down. */
    static long share(long total, float share) {
        return fraction(total, (long) (share * 0x1p63f) << 1);
    }

    /** {@code total · bits / 2⁶⁴}, rounded down, of unsigned bits. */
    static long fraction(long total, long bits) {
        return Math.multiplyHigh(total, bits) + (bits < 0 ? total : 0);
    }
}
