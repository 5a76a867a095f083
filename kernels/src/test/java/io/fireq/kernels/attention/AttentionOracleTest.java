package io.fireq.kernels.attention;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;

class AttentionOracleTest {

    @Test
    void one_position_returns_its_value() {
        AttentionOracle.Rows rows = new AttentionOracle.Rows(new int[][] {{3, 9}}, new double[][] {{0.5}},
                new double[][] {{2}}, new int[][] {{15, 4}}, new double[][] {{0.25}}, new double[][] {{8}});
        assertThat(AttentionOracle.attend(new float[] {7, -2}, 0.1, rows, 2).out()).containsExactly(1.75, -1.0);
    }

    @Test
    void equal_keys_average_values_and_a_large_score_wins() {
        double[][] one = {{1}, {1}};
        double[][] none = {{0}, {0}};
        AttentionOracle.Rows equal = new AttentionOracle.Rows(new int[][] {{4, 4}, {4, 4}}, one, none,
                new int[][] {{2, 8}, {6, 0}}, one, none);
        assertThat(AttentionOracle.attend(new float[] {1, 1}, 1, equal, 2).out()).containsExactly(4, 4);
        AttentionOracle.Rows unequal = new AttentionOracle.Rows(new int[][] {{0, 0}, {15, 15}}, one, none,
                new int[][] {{2, 8}, {6, 0}}, one, none);
        double[] out = AttentionOracle.attend(new float[] {10, 10}, 1, unequal, 2).out();
        assertThat(out[0]).isEqualTo(6, within(1e-9));
        assertThat(out[1]).isEqualTo(0, within(1e-9));
    }
}
