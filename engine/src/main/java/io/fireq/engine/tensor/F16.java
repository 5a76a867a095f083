package io.fireq.engine.tensor;

/** IEEE 754 binary16. Rounding is to nearest, ties to even; magnitudes that round above 65504 become infinite. */
public final class F16 {
    /** Largest finite magnitude. */
    public static final float MAX = 65504f;

    private F16() {}

    /** The real value of a code. */
    public static float decode(short code) {
        int magnitude = code & 0x7fff;
        float value;
        if (magnitude >= 0x7c00) {
            value = magnitude == 0x7c00 ? Float.POSITIVE_INFINITY : Float.NaN;
        } else if (magnitude < 0x400) {
            value = magnitude * 0x1p-24f;
        } else {
            value = Float.intBitsToFloat((magnitude << 13) + (112 << 23)); // bias 15 to bias 127
        }
        return code < 0 ? -value : value;
    }

    /** The code nearest to {@code x}. */
    public static short encode(float x) {
        int bits = Float.floatToRawIntBits(x);
        int sign = bits >>> 16 & 0x8000;
        int magnitude = bits & 0x7fffffff;
        if (magnitude > 0x7f800000) {
            return (short) (sign | 0x7e00);
        }
        if (magnitude >= 0x477ff000) { // 65520 and above round to infinity
            return (short) (sign | 0x7c00);
        }
        if (magnitude < 0x38800000) { // below 2^-14: multiples of 2^-24
            float shifted = Float.intBitsToFloat(magnitude) + 0.5f; // one ulp of 0.5 is 2^-24
            return (short) (sign | Float.floatToRawIntBits(shifted) - 0x3f000000);
        }
        int roundedUp = magnitude + 0xfff + (magnitude >>> 13 & 1);
        return (short) (sign | (roundedUp >>> 13) - (112 << 10));
    }

    /** {@code decode(encode(x))}. */
    public static float round(float x) {
        return decode(encode(x));
    }
}
