package io.fireq.kernels.gemm;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class LinearOracleTest {

    @Test
    void decodes_nibbles_low_first_and_rounds_the_scaled_value() {
        float[] levels = LinearOracle.twosComplement(1, 2, 3, 4, 5, 6, 7, 8);
        // σ = 0x39 = 1.125; codes 7, -8, 0, -1: 7 · 1.125 = 7.875 lies between 7.5 and 8 and rounds to 8.
        byte[] codes = {(byte) 0x87, (byte) 0xf0};
        assertThat(LinearOracle.int4Values(codes, new byte[] {0x39}, levels, 1, 4, 4))
                .containsExactly(8f, -9f, 0f, -1.125f);
    }

    @Test
    void multiplies_by_hand() {
        LinearOracle.Result result = LinearOracle.multiply(new float[] {1, 2, 3, 4}, new float[] {2, 10},
                new float[] {1, -1, 0.5f, 2, 0, 1}, new float[] {1, 3, 0.5f}, 2, 3, 2);
        assertThat(result.y()).containsExactly(2 * (1 - 2), 2 * 3 * (0.5 + 4), 2 * 0.5 * 2, 10 * (3 - 4),
                10 * 3 * (1.5 + 8), 10 * 0.5 * 4);
    }
}
