package io.fireq.kernels.testing;

import java.util.Arrays;

/** Storage formats by their definition: the nearest value of a sorted list, ties to the even code. */
public final class Formats {
    private static final double[] E4M3 = table(0x7f, 3, 7);
    private static final double[] F16 = table(0x7c00, 10, 15);

    private Formats() {}

    private static double[] table(int count, int mantissaBits, int bias) {
        double[] values = new double[count];
        for (int code = 0; code < count; code++) {
            int exponent = code >> mantissaBits;
            double mantissa = (code & (1 << mantissaBits) - 1) / (double) (1 << mantissaBits);
            values[code] = exponent == 0
                    ? Math.scalb(mantissa, 1 - bias)
                    : Math.scalb(1 + mantissa, exponent - bias);
        }
        return values;
    }

    private static int nearest(double[] table, double magnitude) {
        int found = Arrays.binarySearch(table, magnitude);
        if (found >= 0) {
            return found;
        }
        int above = -found - 1;
        if (above == table.length) {
            return table.length - 1;
        }
        double down = magnitude - table[above - 1];
        double up = table[above] - magnitude;
        return down < up || down == up && above % 2 == 1 ? above - 1 : above;
    }

    /** e4m3, saturating; NaN is 0x7f. */
    public static byte e4m3(double x) {
        if (Double.isNaN(x)) {
            return 0x7f;
        }
        return (byte) (nearest(E4M3, Math.abs(x)) | (isNegative(x) ? 0x80 : 0));
    }

    public static float fromE4m3(byte code) {
        int magnitude = code & 0x7f;
        float value = magnitude == 0x7f ? Float.NaN : (float) E4M3[magnitude];
        return code < 0 ? -value : value;
    }

    /** Distance of neighbouring e4m3 values around x. */
    public static double e4m3Step(double x) {
        int exponent = Math.max(x == 0 ? -6 : Math.getExponent(x), -6);
        return Math.scalb(1.0, exponent - 3);
    }

    /** f16; finite inputs below 65520 only. */
    public static short f16(double x) {
        return (short) (nearest(F16, Math.abs(x)) | (isNegative(x) ? 0x8000 : 0));
    }

    public static float fromF16(short code) {
        float value = (float) F16[code & 0x7fff];
        return code < 0 ? -value : value;
    }

    /** bf16, finite inputs only. */
    public static short bf16(float x) {
        int bits = Float.floatToRawIntBits(x);
        int below = bits >>> 16;
        int rest = bits & 0xffff;
        boolean up = rest > 0x8000 || rest == 0x8000 && (below & 1) == 1;
        return (short) (up ? below + 1 : below);
    }

    public static float fromBf16(short code) {
        return Float.intBitsToFloat(code << 16);
    }

    private static boolean isNegative(double x) {
        return Double.doubleToRawLongBits(x) < 0;
    }
}
