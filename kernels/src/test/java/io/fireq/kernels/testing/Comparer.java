package io.fireq.kernels.testing;

/** Compares a kernel's result with its oracle's. Not-a-number never passes. */
public final class Comparer {
    private Comparer() {}

    /**
     * Fails unless every |actual - expected| is at most its bound.
     *
     * @param what what is compared, with the seed
     * @param dims shape, outermost first, for the coordinate in the message
     */
    public static void close(String what, int[] dims, double[] actual, double[] expected, double[] bound) {
        if (actual.length != expected.length || actual.length != bound.length) {
            throw new AssertionError("%s: %d actual, %d expected values and %d bounds".formatted(what, actual.length,
                    expected.length, bound.length));
        }
        int bad = 0;
        int first = -1;
        double worst = 0;
        for (int i = 0; i < actual.length; i++) {
            double error = Math.abs(actual[i] - expected[i]);
            worst = Math.max(worst, error);
            if (!(error <= bound[i])) {
                bad++;
                first = first < 0 ? i : first;
            }
        }
        if (bad > 0) {
            throw new AssertionError("%s: %,d of %,d values differ, first at %s: actual %s, expected %s, bound %s; worst error %s"
                    .formatted(what, bad, actual.length, coordinate(first, dims), actual[first], expected[first],
                            bound[first], worst));
        }
    }

    /** Fails unless the relative root mean square error is at most {@code bound}. */
    public static void rms(String what, double[] actual, double[] expected, double bound) {
        double error = 0;
        double power = 0;
        for (int i = 0; i < actual.length; i++) {
            error += (actual[i] - expected[i]) * (actual[i] - expected[i]);
            power += expected[i] * expected[i];
        }
        double relative = Math.sqrt(error / power);
        if (!(relative <= bound)) {
            throw new AssertionError("%s: relative rms error %s, bound %s".formatted(what, relative, bound));
        }
    }

    /** Fails unless all bytes are equal. */
    public static void identical(String what, int[] dims, byte[] actual, byte[] expected) {
        if (actual.length != expected.length) {
            throw new AssertionError("%s: %d actual, %d expected bytes".formatted(what, actual.length, expected.length));
        }
        for (int i = 0; i < actual.length; i++) {
            if (actual[i] != expected[i]) {
                throw new AssertionError("%s: first difference at %s: actual 0x%02x, expected 0x%02x".formatted(what,
                        coordinate(i, dims), actual[i], expected[i]));
            }
        }
    }

    private static String coordinate(int index, int[] dims) {
        StringBuilder text = new StringBuilder("]");
        int rest = index;
        for (int d = dims.length - 1; d >= 0; d--) {
            text.insert(0, (d == 0 ? "[" : ", ") + rest % dims[d]);
            rest /= dims[d];
        }
        return text.toString();
    }
}
