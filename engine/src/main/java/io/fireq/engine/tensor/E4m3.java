package io.fireq.engine.tensor;

/**
 * The e4m3 float format (OCP FP8 E4M3, "fn" variant): sign, 4 exponent bits with bias 7, 3 mantissa bits; no infinities,
 * NaN is {@code S.1111.111}; largest magnitude 448, smallest normal 2⁻⁶, smallest subnormal 2⁻⁹.
 *
 * <p>Rounding is to nearest, ties to even, saturating at ±448, as {@code cvt.rn.satfinite.e4m3x2.f32} does on the GPU.
 */
public final class E4m3 {
    /** Largest representable magnitude. */
    public static final float MAX = 448f;
    /** Smallest positive value, 2⁻⁹. */
    public static final float MIN_SUBNORMAL = 0x1p-9f;

    private static final float[] VALUES = new float[256];

    static {
        for (int code = 0; code < 256; code++) {
            int exponent = code >> 3 & 15;
            int mantissa = code & 7;
            float magnitude = exponent == 0
                    ? mantissa * MIN_SUBNORMAL
                    : (8 + mantissa) * (float) Math.scalb(1.0, exponent - 10);
            if ((code & 0x7f) == 0x7f) {
                magnitude = Float.NaN;
            }
            VALUES[code] = (code & 0x80) != 0 ? -magnitude : magnitude;
        }
    }

    private E4m3() {}

    /** The real value of a code. */
    public static float decode(byte code) {
        return VALUES[code & 0xff];
    }

    /** The code nearest to {@code x}; ties to the even mantissa, magnitudes above 448 become ±448, NaN stays NaN. */
    public static byte encode(float x) {
        int bits = Float.floatToRawIntBits(x);
        int sign = bits >>> 24 & 0x80;
        int magnitude = bits & 0x7fffffff;
        if (magnitude > 0x7f800000) {
            return (byte) (sign | 0x7f);
        }
        if (magnitude >= 0x43e00000) { // 448 and above, infinity included
            return (byte) (sign | 0x7e);
        }
        if (magnitude < 0x3c800000) { // below 2^-6: multiples of 2^-9, the ones of the float sum's unit
            float shifted = Float.intBitsToFloat(magnitude) + 0x1p14f; // one ulp of 2^14 is 2^-9
            return (byte) (sign | Float.floatToRawIntBits(shifted) - 0x46800000);
        }
        int roundedUp = magnitude + 0x7ffff + (magnitude >>> 20 & 1); // keep 3 mantissa bits, ties to even
        return (byte) (sign | (roundedUp >>> 20) - (120 << 3)); // float bias 127 to e4m3 bias 7
    }

    /** {@code decode(encode(x))}. */
    public static float round(float x) {
        return decode(encode(x));
    }
}
