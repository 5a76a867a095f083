package io.fireq.kernels.linalg;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;

class MatrixOracleTest {

    @Test
    void products_by_hand() {
        float[] a = {1, 2, 3, 4, 5, 6}; // [2, 3]
        float[] b = {1, 0, 0, 1, 2, 2}; // [3, 2]
        assertThat(MatrixOracle.product(a, false, b, false, 2, 2, 3, false)).containsExactly(7, 8, 16, 17);
        assertThat(MatrixOracle.product(a, true, a, false, 3, 3, 2, false)).startsWith(17, 22, 27);
        assertThat(MatrixOracle.product(a, false, a, true, 2, 2, 3, false)).containsExactly(14, 32, 32, 77);
    }

    @Test
    void inverse_cholesky_by_hand() {
        double[] a = {4, 2, 2, 2}; // inverse 1/4 · {2, -2, -2, 4}
        double[] u = MatrixOracle.inverseCholesky(a, 2);
        double root = Math.sqrt(0.5);
        assertThat(u[0]).isCloseTo(root, within(1e-12));
        assertThat(u[1]).isCloseTo(-root, within(1e-12));
        assertThat(u[2]).isZero();
        assertThat(u[3]).isCloseTo(root, within(1e-12));
    }

    @Test
    void rounding_by_hand() {
        // levels -8..7, sigma of 7 / 7 = 1 is exact for whole numbers
        float[] levels = new float[16];
        int[] codeOf = new int[16];
        for (int i = 0; i < 16; i++) {
            levels[i] = i - 8;
            codeOf[i] = i - 8 & 15;
        }
        GroupRoundingOracle oracle = new GroupRoundingOracle(levels, codeOf, 1, 4, 4);
        oracle.round(new float[] {7, -3, 2, 1}, null, new float[] {1, 1, 1, 1});
        assertThat(oracle.rounded()).containsExactly(7, -3, 2, 1);
        assertThat(oracle.codes()).containsExactly(7, 13, 2, 1);
        assertThat(oracle.packed()).containsExactly((byte) 0xd7, (byte) 0x12);
    }
}
