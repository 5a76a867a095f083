package io.fireq.kernels.attention;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

class SplitKvPlanTest {
    private static final int CTAS = 132 * 3;

    @Test
    void short_sequences_are_not_split() {
        assertThat(SplitKvPlan.of(8, 1, CTAS).maxSplits()).isOne();
        assertThat(SplitKvPlan.of(8, 128, CTAS).maxSplits()).isOne();
    }

    @Test
    void one_long_sequence_fills_the_device() {
        int splits = SplitKvPlan.of(8, 131_072, CTAS).maxSplits();
        assertThat(8 * splits).isBetween(CTAS * 9 / 10, CTAS);
    }

    @Test
    void a_large_batch_does_not_leave_a_wave_mostly_empty() {
        for (int nSeqs : new int[] {1, 7, 16, 49, 64, 65, 128, 256}) {
            int rows = nSeqs * 8;
            int splits = SplitKvPlan.of(rows, 4096, CTAS).maxSplits();
            long ctas = (long) rows * splits;
            long slots = (ctas + CTAS - 1) / CTAS * CTAS;
            assertThat((double) ctas / slots).as("%d sequences, %d splits", nSeqs, splits).isGreaterThan(0.6);
        }
    }

    @Test
    void splits_stay_within_their_limits_for_any_shape() {
        for (int rows = 1; rows < 3000; rows += 37) {
            for (int kvLen = 1; kvLen <= 131_072; kvLen = kvLen * 3 + 1) {
                SplitKvPlan plan = SplitKvPlan.of(rows, kvLen, CTAS);
                assertThat(plan.maxSplits()).isBetween(1, 128);
                assertThat((plan.maxSplits() - 1) * plan.minSplitTiles() * SplitKvPlan.TILE).isLessThan(Math.max(1, kvLen));
            }
        }
    }

    @Test
    void refuses_what_is_empty() {
        assertThatThrownBy(() -> SplitKvPlan.of(0, 1, 1)).isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("0 rows");
    }
}
