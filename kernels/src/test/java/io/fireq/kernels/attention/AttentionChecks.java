package io.fireq.kernels.attention;

import static org.assertj.core.api.Assertions.assertThat;

import io.fireq.kernels.testing.Comparer;
import java.util.Arrays;

/** What every fast attention kernel has to pass. */
final class AttentionChecks {
    private AttentionChecks() {}

    /**
     * Against the output without rounded weights: each element is at most as far as rounding can move it, and the whole no
     * farther than evenly spread rounding errors would be, with room for chance, which is large where rows are few. Which
     * way a weight rounds depends on the scale, so elements are not compared with one rounding.
     */
    static void agree(String what, AttentionFixture batch, double[] actual, double[] plain) {
        AttentionFixture.Expected expected = batch.expected();
        double[] exact = expected.exact();
        double error = rms(actual, exact);
        double likely = Math.sqrt(Arrays.stream(expected.variance()).sum() / Arrays.stream(exact).map(x -> x * x).sum());
        System.out.printf("%s: relative rms error %.2e, plain kernel %.2e, evenly spread rounding errors %.2e%n", what, error,
                rms(plain, exact), likely);
        Comparer.close(what + ", " + batch, batch.dims(), actual, exact, expected.bound());
        double rows = batch.nTokens() * batch.nHeads;
        double chance = 1 + 2 / Math.sqrt(rows);
        double bf16 = 0x1p-10;
        assertThat(error).as("%s, %s: relative rms error", what, batch).isLessThanOrEqualTo(likely * chance + bf16);
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
}
