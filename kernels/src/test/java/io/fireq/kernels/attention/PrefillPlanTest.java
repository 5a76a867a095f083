package io.fireq.kernels.attention;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

class PrefillPlanTest {

    @Test
    void long_items_come_first_and_see_the_tiles_up_to_their_last_token() {
        // One sequence of 70 positions with 40 new tokens, one of 3 with 3.
        List<PrefillPlan> plans = PrefillPlan.of(new int[] {0, 40, 43}, new int[] {70, 3}, 16, 32, 9);
        assertThat(plans).hasSize(1);
        assertThat(plans.get(0).words()).containsExactly(
                // first token, tokens, first position, first tile, tiles
                32, 8, 62, 0, 3, 0, 0, 0,
                0, 16, 30, 0, 2, 0, 0, 0,
                16, 16, 46, 0, 2, 0, 0, 0,
                40, 3, 0, 3, 1, 0, 0, 0,
                // sequence, first position, positions
                0, 0, 32, 0,
                0, 32, 32, 0,
                0, 64, 6, 0,
                1, 0, 3, 0);
    }

    @Test
    void every_token_is_in_one_item_and_every_position_in_one_tile() {
        long seed = System.nanoTime() & 0xffff;
        System.out.println("prefill plan: seed " + seed);
        Random random = new Random(seed);
        for (int round = 0; round < 200; round++) {
            int nSeqs = 1 + random.nextInt(5);
            int[] cuSeqlens = new int[nSeqs + 1];
            int[] kvLens = new int[nSeqs];
            for (int s = 0; s < nSeqs; s++) {
                int newTokens = random.nextInt(60);
                cuSeqlens[s + 1] = cuSeqlens[s] + newTokens;
                kvLens[s] = newTokens + random.nextInt(100);
            }
            int tokensPerItem = 1 + random.nextInt(40);
            List<PrefillPlan> plans = PrefillPlan.of(cuSeqlens, kvLens, tokensPerItem, 16, 10 + random.nextInt(30));
            int[] itemsOf = new int[cuSeqlens[nSeqs]];
            int[] positionsOf = new int[nSeqs];
            for (PrefillPlan plan : plans) {
                int[] words = plan.words();
                int tiles = plan.nItems() * PrefillPlan.ITEM_WORDS;
                for (int i = 0; i < plan.nTiles(); i++) {
                    positionsOf[words[tiles + 4 * i]] += words[tiles + 4 * i + 2];
                }
                for (int i = 0; i < plan.nItems(); i++) {
                    int first = words[8 * i];
                    int count = words[8 * i + 1];
                    int lastTile = tiles + 4 * (words[8 * i + 3] + words[8 * i + 4] - 1);
                    int lastPosition = words[8 * i + 2] + count - 1;
                    int sequence = words[lastTile];
                    assertThat(lastPosition).isBetween(words[lastTile + 1], words[lastTile + 1] + words[lastTile + 2] - 1);
                    assertThat(words[tiles + 4 * words[8 * i + 3]]).isEqualTo(sequence);
                    assertThat(words[tiles + 4 * words[8 * i + 3] + 1]).isZero();
                    assertThat(first).isBetween(cuSeqlens[sequence], cuSeqlens[sequence + 1] - 1);
                    assertThat(lastPosition - kvLens[sequence]).isEqualTo(first + count - 1 - cuSeqlens[sequence + 1]);
                    for (int t = first; t < first + count; t++) {
                        itemsOf[t]++;
                    }
                }
            }
            assertThat(itemsOf).containsOnly(itemsOf.length == 0 ? new int[0] : new int[] {1});
            for (int s = 0; s < nSeqs; s++) {
                assertThat(positionsOf[s]).isEqualTo(cuSeqlens[s + 1] > cuSeqlens[s] ? kvLens[s] : 0);
            }
        }
    }

    @Test
    void splits_the_batch_where_the_workspace_is_full() {
        List<PrefillPlan> plans = PrefillPlan.of(new int[] {0, 32, 64, 96}, new int[] {32, 32, 32}, 16, 16, 4);
        assertThat(plans).extracting(PrefillPlan::nTiles).containsExactly(4, 2);
        assertThat(plans.get(1).words()[3]).as("tiles of a launch count from zero").isZero();
    }

    @Test
    void refuses_a_sequence_that_the_workspace_cannot_hold() {
        assertThatThrownBy(() -> PrefillPlan.of(new int[] {0, 1}, new int[] {65}, 16, 16, 4))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("65 positions, which are 5 tiles")
                .hasMessageContaining("holds 4");
        assertThatThrownBy(() -> PrefillPlan.of(new int[] {0, 9}, new int[] {8}, 16, 16, 4))
                .isInstanceOf(IllegalArgumentException.class).hasMessageContaining("9 new tokens and 8 positions");
    }
}
