package io.fireq.kernels.attention;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class AttentionKernelTest {

    @ParameterizedTest
    @CsvSource({
        // heads, kv heads, head dim, group, block size, prefill, decode
        "32,  8, 128, 128, 16, FP8_PREFILL, INT4KV_DECODE",
        "9,   3, 64,  64,  32, FP8_PREFILL, INT4KV_DECODE",
        "128, 1, 64,  64,  16, FP8_PREFILL, INT4KV_DECODE",
        "129, 1, 64,  64,  16, PLAIN,       INT4KV_DECODE",
        "32,  8, 128, 64,  16, PLAIN,       PLAIN",
        "32,  8, 80,  80,  16, PLAIN,       PLAIN",
        "32,  8, 256, 256, 16, PLAIN,       PLAIN",
        "32,  8, 128, 128, 8,  FP8_PREFILL, PLAIN",
        "32,  8, 128, 128, 24, FP8_PREFILL, PLAIN",
        "32,  5, 128, 128, 16, PLAIN,       PLAIN",
    })
    void fast_kernels_take_the_shapes_they_are_made_for(int nHeads, int nKvHeads, int headDim, int groupSize,
            int kvBlockSize, AttentionKernel prefill, AttentionKernel decode) {
        PagedKvLayout layout = new PagedKvLayout(7, nKvHeads, headDim, groupSize, kvBlockSize);
        assertThat(AttentionKernel.forPrefill(layout, nHeads)).isEqualTo(prefill);
        assertThat(AttentionKernel.forDecode(layout, nHeads)).isEqualTo(decode);
    }
}
