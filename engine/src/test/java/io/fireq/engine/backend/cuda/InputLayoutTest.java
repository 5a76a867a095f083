package io.fireq.engine.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import io.fireq.engine.api.SamplingParams;
import io.fireq.engine.batch.Batch;
import io.fireq.engine.sampling.Sampler;
import java.nio.IntBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;

class InputLayoutTest {
    private static final Batch BATCH = new Batch(new int[] {7, 8, 9, 10, 11}, new int[] {0, 1, 2, 40, 41},
            new int[] {32, 33, 34, 104, 105}, new int[] {0, 3, 5}, new int[] {3, 42}, new int[][] {{2}, {5, 6, 4}},
            new int[] {4}, new Sampler[] {new Sampler(new SamplingParams(0.5f, 3, 0.25f, 0.125f, 1.5f, 2, 4,
                    OptionalLong.of(-2)), 0, new int[] {6, 9, 6}, 10)});

    @Test
    void every_array_arrives_at_its_aligned_place() {
        InputLayout layout = InputLayout.of(BATCH);
        assertThat(layout).isEqualTo(new InputLayout(5, 2, 1, 1, 16));
        BATCH.samplers()[0].accept(9);
        int[] all = new int[layout.size(BATCH)];
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
                layout.logitRows(), layout.blockTables(), layout.samplingRows(), layout.penalties())).isSorted()
                .allMatch(offset -> offset % 4 == 0);
        assertThat(layout.samplingRows()).isEqualTo(layout.blockTables() + 32);
        assertThat(at(all, layout.samplingRows(), 12)).containsExactly(-2, -1, 1, Float.floatToRawIntBits(0.5f), 3,
                Float.floatToRawIntBits(0.25f), Float.floatToRawIntBits(0.125f), Float.floatToRawIntBits(1.5f),
                Float.floatToRawIntBits(2), Float.floatToRawIntBits(4), 0, 2);
        assertThat(Arrays.copyOfRange(all, layout.penalties(), all.length)).containsExactly(6, 0, 9, 1);
    }

    @Test
    void every_row_finds_its_own_penalties() {
        SamplingParams penalized = new SamplingParams(0, 0, 1, 0, 2, 0, 0, OptionalLong.empty());
        Batch batch = new Batch(new int[3], new int[3], new int[3], new int[] {0, 1, 2, 3}, new int[] {1, 1, 1},
                new int[3][1], new int[3], new Sampler[] {new Sampler(penalized, 0, new int[] {1, 2, 3}, 4),
                    Sampler.greedy(), new Sampler(penalized, 0, new int[] {3, 0}, 4)});
        InputLayout layout = InputLayout.of(batch);
        int[] all = new int[layout.size(batch)];
        layout.write(batch, IntBuffer.wrap(all));
        int first = layout.samplingRows() + 10;
        assertThat(at(all, first, 2)).containsExactly(0, 3);
        assertThat(at(all, first + 12, 2)[1]).isZero();
        assertThat(at(all, first + 24, 2)).containsExactly(3, 2);
        assertThat(at(all, layout.penalties() + 6, 4)).containsExactly(3, 0, 0, 0);
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
