package io.fireq.engine.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import io.fireq.engine.batch.Batch;
import java.nio.IntBuffer;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

class InputLayoutTest {
    private static final Batch BATCH = new Batch(new int[] {7, 8, 9, 10, 11}, new int[] {0, 1, 2, 40, 41},
            new int[] {32, 33, 34, 104, 105}, new int[] {0, 3, 5}, new int[] {3, 42}, new int[][] {{2}, {5, 6, 4}},
            new int[] {4});

    @Test
    void every_array_arrives_at_its_aligned_place() {
        InputLayout layout = InputLayout.of(BATCH);
        assertThat(layout).isEqualTo(new InputLayout(5, 2, 1, 16));
        int[] all = new int[layout.size()];
        layout.write(BATCH, IntBuffer.wrap(all));
        assertThat(at(all, layout.tokenIds(), 5)).containsExactly(BATCH.tokenIds());
        assertThat(at(all, layout.positions(), 5)).containsExactly(BATCH.positions());
        assertThat(at(all, layout.slots(), 5)).containsExactly(BATCH.slotMapping());
        assertThat(at(all, layout.cuSeqlens(), 3)).containsExactly(BATCH.cuSeqlens());
        assertThat(at(all, layout.kvLens(), 2)).containsExactly(BATCH.kvLens());
        assertThat(at(all, layout.logitRows(), 1)).containsExactly(4);
        assertThat(at(all, layout.blockTables(), 1)).containsExactly(2);
        assertThat(at(all, layout.blockTables() + 16, 3)).containsExactly(5, 6, 4);
        assertThat(List.of(layout.positions(), layout.slots(), layout.cuSeqlens(), layout.kvLens(),
                layout.logitRows(), layout.blockTables())).isSorted().allMatch(offset -> offset % 4 == 0);
        assertThat(layout.size()).isEqualTo(layout.blockTables() + 32);
    }

    @Test
    void a_step_of_equal_size_with_longer_contexts_keeps_its_layout_until_the_stride_doubles() {
        assertThat(layoutOf(1)).isEqualTo(layoutOf(16)).isNotEqualTo(layoutOf(17));
        assertThat(layoutOf(17)).isEqualTo(layoutOf(32));
        assertThat(layoutOf(33).tableStride()).isEqualTo(64);
    }

    private static InputLayout layoutOf(int nBlocks) {
        return InputLayout.of(new Batch(new int[1], new int[1], new int[1], new int[] {0, 1}, new int[] {1},
                new int[1][nBlocks], new int[1]));
    }

    private static int[] at(int[] all, int from, int count) {
        return Arrays.copyOfRange(all, from, from + count);
    }
}
