package io.fireq.kernels.attention;

import static org.assertj.core.api.Assertions.assertThat;

import io.fireq.kernels.testing.Comparer;

/** What every fast attention kernel has to pass. */
final class AttentionChecks {
    private AttentionChecks() {}

    /**
     * Against the output without rounded weights: each element is at most as far as rounding the weights can move it, the
     * whole at most twice as far as the plain kernel's, and the worst element at most four times as far as the plain
     * kernel's worst. Which way a weight rounds depends on the scale, so elements are not compared with one rounding.
     */
    static void agree(String what, AttentionFixture batch, double[] actual, double[] plain) {
        AttentionFixture.Expected expected = batch.expected();
        double[] exact = expected.exact();
        double error = rms(actual, exact);
        double plainError = rms(plain, exact);
        double worst = worst(actual, exact);
        double plainWorst = worst(plain, exact);
        System.out.printf("%s: relative rms error %.2e, plain kernel %.2e; worst error %.2e, plain kernel %.2e%n", what,
                error, plainError, worst, plainWorst);
        Comparer.close(what + ", " + batch, batch.dims(), actual, exact, expected.bound());
        // The floors are what rounding to bf16 alone costs.
        assertThat(error).as("%s, %s: relative rms error", what, batch).isLessThanOrEqualTo(2 * plainError + 0x1p-10);
        double bf16HalfStep = 0x1p-9 * worst(exact, new double[exact.length]);
        assertThat(worst).as("%s, %s: worst error", what, batch).isLessThanOrEqualTo(4 * plainWorst + bf16HalfStep);
    }

    private static double rms(double[] actual, double[] expected) {
        double error = 0;
        double power = 0;
        for (int i = 0; i < actual.length; i++) {
            error += (actual[i] - expected[i]) * (actual[i] - expected[i]);
            power += expected[i] * expected[i];
        }
        return Math.sqrt(error / power);
    }

    private static double worst(double[] actual, double[] expected) {
        double worst = 0;
        for (int i = 0; i < actual.length; i++) {
            worst = Math.max(worst, Math.abs(actual[i] - expected[i]));
        }
        return worst;
    }
}
