package io.fireq.engine.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import io.fireq.engine.backend.BackendChecks;
import io.fireq.engine.batch.Batch;
import io.fireq.engine.sampling.Sampler;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class DecodePaddingTest {

    @Test
    void buckets_are_few_near_and_never_too_small() {
        assertThat(IntStream.of(1, 2, 3, 4, 5, 8, 9, 17, 64, 65, 97, 256, 257)
                .map(n -> DecodePadding.bucket(n, 1000)).toArray())
                .containsExactly(1, 2, 4, 4, 8, 8, 16, 24, 64, 96, 128, 256, 257);
        for (int n = 1; n <= 300; n++) {
            int bucket = DecodePadding.bucket(n, 1000);
            assertThat(bucket).isBetween(n, n + 31);
            assertThat(DecodePadding.bucket(bucket, 1000)).isEqualTo(bucket);
            assertThat(DecodePadding.bucket(n, n)).isEqualTo(n);
        }
        assertThat(DecodePadding.isRecorded(256)).isTrue();
        assertThat(DecodePadding.isRecorded(257)).isFalse();
    }

    @Test
    void only_steps_with_one_token_per_sequence_are_decode_steps() {
        assertThat(DecodePadding.isDecode(batch(new int[] {0, 1, 2, 3}))).isTrue();
        assertThat(DecodePadding.isDecode(batch(new int[] {0, 1, 3}))).isFalse();
        assertThat(DecodePadding.isDecode(batch(new int[] {0, 0, 2}))).isFalse();
        assertThat(DecodePadding.isDecode(batch(new int[] {0}))).isFalse();
    }

    private static Batch batch(int[] cuSeqlens) {
        int nSeqs = cuSeqlens.length - 1;
        int nTokens = cuSeqlens[nSeqs];
        return new Batch(new int[nTokens], new int[nTokens], new int[nTokens], cuSeqlens, new int[nSeqs],
                new int[nSeqs][1], new int[0]);
    }

    @Test
    void added_rows_are_sequences_of_one_token_in_the_block_that_nobody_owns() {
        Sampler first = Sampler.greedy();
        Sampler second = Sampler.greedy();
        Batch batch = new Batch(new int[] {7, 8, 9}, new int[] {4, 0, 21}, new int[] {12, 0, 29},
                new int[] {0, 1, 2, 3}, new int[] {5, 1, 22}, new int[][] {{2, 3}, {0}, {5, 6, 4, 1, 7, 8}},
                new int[] {0, 2}, new Sampler[] {first, second});
        Batch padded = DecodePadding.pad(batch, 5, 11, 4);
        BackendChecks.batch(padded);
        assertThat(padded.tokenIds()).containsExactly(7, 8, 9, 0, 0);
        assertThat(padded.positions()).containsExactly(4, 0, 21, 0, 0);
        assertThat(padded.slotMapping()).containsExactly(12, 0, 29, 44, 44);
        assertThat(padded.kvLens()).containsExactly(5, 1, 22, 1, 1);
        assertThat(padded.blockTables()[2]).containsExactly(5, 6, 4, 1, 7, 8);
        assertThat(padded.blockTables()[4]).containsExactly(11);
        assertThat(padded.logitRows()).containsExactly(0, 2, 0, 0, 0);
        assertThat(InputLayout.of(padded)).isEqualTo(new InputLayout(5, 5, 5, 5, 16));
        assertThat(padded.samplers()).startsWith(first, second).doesNotContainNull()
                .allMatch(sampler -> sampler.params().temperature() == 0);
    }
}
