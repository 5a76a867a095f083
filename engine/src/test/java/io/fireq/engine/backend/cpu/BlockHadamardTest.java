package io.fireq.engine.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class BlockHadamardTest {
    @Test
    void by_hand() {
        float[] x = {1, 2, 3, 4, 8, 0, 0, 0};
        BlockHadamard.apply(x, 8, 4);
        assertThat(x).containsExactly(5, -1, -2, 0, 4, 4, 4, 4);
    }

    @Test
    void sums_go_by_distance_and_the_factor_comes_last() {
        // 2^24 + 1 is no float: in this order the first pair's sum loses the 1, the second pair keeps 1 + 1.
        float[] x = {0x1p24f, 1, 1, 1};
        BlockHadamard.apply(x, 4, 4);
        assertThat(x[0]).isEqualTo((0x1p24f + 2) * 0.5f);
        // 1/sqrt(2) is rounded to float32 before it multiplies.
        float[] y = {3, 0};
        BlockHadamard.apply(y, 2, 2);
        assertThat(y[0]).isEqualTo(3 * 0.70710677f);
    }

    @Test
    void twice_is_the_identity() {
        float[] x = {5, -7, 0.25f, 3, 1, 1, 2, -9};
        float[] y = x.clone();
        BlockHadamard.apply(y, 8, 4);
        BlockHadamard.apply(y, 8, 4);
        assertThat(y).containsExactly(x);
    }
}
