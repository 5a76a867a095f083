package io.fireq.kernels.testing;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

/** The oracles' own tools. */
class FormatsTest {

    @Test
    void e4m3_codes_survive_and_ties_go_to_even() {
        for (int code = 0; code < 256; code++) {
            if ((code & 0x7f) != 0x7f) {
                assertThat(Formats.e4m3(Formats.fromE4m3((byte) code))).isEqualTo((byte) code);
            }
        }
        assertThat(Formats.e4m3(7.875)).isEqualTo((byte) 0x50); // between 7.5 and 8, nearer to 8
        assertThat(Formats.e4m3(17)).isEqualTo(Formats.e4m3(16)); // tie of 16 (even) and 18
        assertThat(Formats.e4m3(19)).isEqualTo(Formats.e4m3(20)); // tie of 18 and 20 (even)
        assertThat(Formats.e4m3(1e9)).isEqualTo((byte) 0x7e);
        assertThat(Formats.e4m3(-0x1p-10)).isEqualTo((byte) 0x80); // tie of 0 (even) and the smallest
        assertThat(Formats.e4m3Step(1.9)).isEqualTo(0.125);
        assertThat(Formats.e4m3Step(0)).isEqualTo(0x1p-9);
    }

    @Test
    void f16_and_bf16_round_to_nearest_even() {
        assertThat(Formats.fromF16(Formats.f16(1 + 0x1p-11))).isEqualTo(1f);
        assertThat(Formats.fromF16(Formats.f16(1 + 3 * 0x1p-11))).isEqualTo(1 + 0x1p-9f);
        assertThat(Formats.fromF16(Formats.f16(-65504))).isEqualTo(-65504f);
        assertThat(Formats.fromF16(Formats.f16(0x1p-24))).isEqualTo(0x1p-24f);
        assertThat(Formats.fromBf16(Formats.bf16(1 + 0x1p-8f))).isEqualTo(1f);
        assertThat(Formats.fromBf16(Formats.bf16(1 + 3 * 0x1p-8f))).isEqualTo(1 + 0x1p-6f);
        assertThat(Formats.fromBf16(Formats.bf16(-3.5f))).isEqualTo(-3.5f);
    }

    @Test
    void a_comparison_fails_on_nan_and_names_the_coordinate() {
        int[] dims = {2, 3};
        double[] zeros = new double[6];
        double[] bad = {0, 0, 0, 0, Double.NaN, 0};
        Comparer.close("same", dims, zeros, zeros, zeros);
        assertThatThrownBy(() -> Comparer.close("x", dims, bad, zeros, new double[] {9, 9, 9, 9, 9, 9}))
                .isInstanceOf(AssertionError.class).hasMessageContaining("first at [1, 1]: actual NaN");
        assertThatThrownBy(() -> Comparer.close("x", dims, zeros, bad, new double[] {9, 9, 9, 9, 9, 9}))
                .isInstanceOf(AssertionError.class);
        assertThatThrownBy(() -> Comparer.rms("x", bad, zeros, 1)).isInstanceOf(AssertionError.class);
        assertThatThrownBy(() -> Comparer.identical("x", dims, new byte[6], new byte[] {0, 0, 0, 0, 0, 1}))
                .isInstanceOf(AssertionError.class).hasMessageContaining("[1, 2]");
    }
}
