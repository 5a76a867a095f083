package io.fireq.kernels.attention;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class KvTileLayoutTest {

    @Test
    void parts_follow_one_another_and_records_start_at_multiples_of_1024() {
        KvTileLayout tile = new KvTileLayout(128, 64);
        assertThat(tile.vOffset()).isEqualTo(8192);
        assertThat(tile.kScalesOffset()).isEqualTo(16384);
        assertThat(tile.vScalesOffset()).isEqualTo(16640);
        assertThat(tile.boundOffset()).isEqualTo(16896);
        assertThat(tile.strideBytes()).isEqualTo(17408);
        assertThat(new KvTileLayout(64, 128).strideBytes()).isEqualTo(18 * 1024);
    }
}
