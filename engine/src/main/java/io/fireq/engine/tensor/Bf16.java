package io.fireq.engine.tensor;

/** The bfloat16 format: the upper half of an IEEE float32. Rounding is to nearest, ties to even. */
public final class Bf16 {
    private Bf16() {}

    /** The real value of a code. */
    public static float decode(short code) {
        return Float.intBitsToFloat(code << 16);
    }

    /** The code nearest to {@code x}; NaN stays NaN. */
    public static short encode(float x) {
        return (short) (Float.floatToRawIntBits(round(x)) >>> 16);
    }

    /** The bfloat16 value nearest to {@code x}, as a float. */
    public static float round(float x) {
        int bits = Float.floatToRawIntBits(x);
        if ((bits & 0x7fffffff) > 0x7f800000) {
            return Float.NaN;
        }
        return Float.intBitsToFloat(bits + 0x7fff + (bits >>> 16 & 1) & 0xffff0000);
    }
}
