package io.fireq.kernels.attention;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

class PagedKvLayoutTest {

    @Test
    void one_heads_tokens_of_a_kv_block_are_neighbours() {
        PagedKvLayout layout = new PagedKvLayout(5, 3, 64, 32, 16);
        assertThat(layout.row(0, 0)).isZero();
        assertThat(layout.row(1, 0)).isEqualTo(1);
        assertThat(layout.row(0, 1)).isEqualTo(16);
        assertThat(layout.row(16, 0)).isEqualTo(48);
        assertThat(layout.codeBytes()).isEqualTo(5 * 3 * 16 * 32);
        assertThat(layout.paramBytes()).isEqualTo(5 * 3 * 16 * 2 * 4);
    }

    @Test
    void a_large_pool_does_not_overflow() {
        PagedKvLayout layout = new PagedKvLayout(4_000_000, 8, 128, 64, 16);
        assertThat(layout.codeBytes()).isEqualTo(4_000_000L * 8 * 16 * 64);
        assertThat(layout.row(63_999_999, 7)).isEqualTo(layout.rows() - 1);
    }

    @Test
    void refuses_groups_that_do_not_divide_the_head() {
        assertThatThrownBy(() -> new PagedKvLayout(1, 1, 80, 64, 16)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("80 channels in groups of 64");
    }
}
