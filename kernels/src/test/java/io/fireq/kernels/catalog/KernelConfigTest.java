package io.fireq.kernels.catalog;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

class KernelConfigTest {
    private static final KernelConfig CONFIG =
            KernelConfig.empty().with("TILE_M", 128).with("STAGES", 4).with("SYMMETRIC", true).with("CAUSAL", false);

    @Test
    void renders_named_constants_in_order() {
        assertThat(CONFIG.render()).isEqualTo("""
                struct Config {
                    static constexpr int TILE_M = 128;
                    static constexpr int STAGES = 4;
                    static constexpr bool SYMMETRIC = true;
                    static constexpr bool CAUSAL = false;
                };
                """);
    }

    @Test
    void names_files_by_the_constants() {
        assertThat(CONFIG.slug()).isEqualTo("tile_m128-stages4-symmetric");
        assertThat(new KernelSpec("gemm/x.cuh", "x", CONFIG, true).id()).isEqualTo("x-tile_m128-stages4-symmetric");
        assertThat(new KernelSpec("gemm/x.cuh", "x", KernelConfig.empty(), true).id()).isEqualTo("x");
    }

    @Test
    void refuses_a_constant_that_is_given_twice_or_misspelt() {
        assertThatThrownBy(() -> CONFIG.with("STAGES", 5)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("STAGES is given twice");
        assertThatThrownBy(() -> CONFIG.with("tileK", 5)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("'tileK' is not UPPER_SNAKE_CASE");
    }

    @Test
    void finds_a_value_by_name() {
        assertThat(CONFIG.intValue("TILE_M")).isEqualTo(128);
        assertThatThrownBy(() -> CONFIG.intValue("TILE_N")).hasMessageContaining("no int constant TILE_N");
    }
}
