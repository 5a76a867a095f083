package io.fireq.engine.backend;

import static org.assertj.core.api.Assertions.fail;

import java.util.Arrays;

/** Comparisons that fail on NaN and say where, what and how far. */
final class Agreement {
    private Agreement() {}

    /** Every value is the oracle's, bit for bit up to the sign of zero. */
    static void assertExact(String what, double[] wanted, float[] actual) {
        assertClose(what, wanted, actual, 0, 0, 0);
    }

    /** By [sequence][position][channel]: the same numbers, bit for bit. */
    static void assertSame(String what, float[][][] wanted, float[][][] actual) {
        for (int s = 0; s < wanted.length; s++) {
            for (int position = 0; position < wanted[s].length; position++) {
                int c = Arrays.mismatch(wanted[s][position], actual[s][position]);
                if (c >= 0) {
                    fail("%s of sequence %d at position %d, channel %d: wanted %s, found %s", what, s, position, c,
                            wanted[s][position][c], actual[s][position][c]);
                }
            }
        }
    }

    /**
     * Each value within {@code relative · |wanted| + absolute}, for a rounding that fell the other way, and on average
     * within {@code meanRelative} of the mean magnitude, which no systematic difference passes.
     */
    static void assertClose(String what, double[] wanted, float[] actual, double relative, double absolute,
            double meanRelative) {
        double[] everywhere = new double[wanted.length];
        Arrays.fill(everywhere, absolute);
        assertClose(what, wanted, actual, relative, everywhere, meanRelative);
    }

    /** As above, with an {@code absolute} part for each value. */
    static void assertClose(String what, double[] wanted, float[] actual, double relative, double[] absolute,
            double meanRelative) {
        if (wanted.length != actual.length) {
            fail("%s: %d values wanted, %d found", what, wanted.length, actual.length);
        }
        double errors = 0;
        double magnitudes = 0;
        for (int i = 0; i < wanted.length; i++) {
            double error = Math.abs(wanted[i] - actual[i]);
            if (!(error <= relative * Math.abs(wanted[i]) + absolute[i])) {
                fail("%s at %d: wanted %s, found %s", what, i, wanted[i], actual[i]);
            }
            errors += error;
            magnitudes += Math.abs(wanted[i]);
        }
        if (!(errors <= meanRelative * magnitudes)) {
            fail("%s: mean error %.3g of a mean magnitude %.3g exceeds the share %.3g", what, errors / wanted.length,
                    magnitudes / wanted.length, meanRelative);
        }
    }
}
