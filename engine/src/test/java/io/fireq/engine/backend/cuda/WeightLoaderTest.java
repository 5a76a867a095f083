package io.fireq.engine.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import io.fireq.engine.backend.TestMatrices;
import io.fireq.engine.backend.cuda.WeightLoader.Storage;
import io.fireq.engine.tensor.E4m3;
import io.fireq.engine.tensor.Int4Matrix;
import io.fireq.engine.tensor.WeightMatrix;
import java.nio.ByteBuffer;
import java.util.List;
import org.junit.jupiter.api.Test;

class WeightLoaderTest {
    private static final float[] UNIFORM = Int4Matrix.integers();
    private static final WeightMatrix INT4 = TestMatrices.int4(5, 64, 32, UNIFORM, 1);

    @Test
    void int4_blocks_alike_stay_int4_and_others_become_e4m3() {
        assertThat(WeightLoader.storage(List.of(INT4))).isEqualTo(Storage.INT4);
        assertThat(WeightLoader.storage(List.of(INT4, TestMatrices.int4(7, 64, 32, UNIFORM, 2))))
                .isEqualTo(Storage.INT4);
        assertThat(WeightLoader.storage(List.of(INT4, TestMatrices.int4(7, 64, 64, UNIFORM, 2))))
                .isEqualTo(Storage.E4M3);
        assertThat(WeightLoader.storage(
                List.of(INT4, TestMatrices.int4(7, 64, 32, TestMatrices.UNEVEN_VALUES, 2)))).isEqualTo(Storage.E4M3);
        assertThat(WeightLoader.storage(List.of(INT4, TestMatrices.e4m3(7, 64, 2)))).isEqualTo(Storage.E4M3);
        assertThat(WeightLoader.storage(List.of(TestMatrices.bf16(7, 64, 2)))).isEqualTo(Storage.BF16_TABLE);
    }

    @Test
    void refuses_a_stack_of_quantized_and_unquantized_blocks() {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> WeightLoader.storage(List.of(INT4, TestMatrices.bf16(7, 64, 2))))
                .withMessageContaining("int4").withMessageContaining("bf16").withMessageContaining("quantize");
    }

    /** An int4 weight is an e4m3 number times its row's scale, so its e4m3 code says all. */
    @Test
    void e4m3_codes_of_int4_weights_are_exact_in_chunks_of_any_size() {
        Int4Matrix int4 = TestMatrices.int4(9, 43 * 2, 43, TestMatrices.UNEVEN_VALUES, 3);
        int size = int4.n() * int4.k();
        for (int chunkSize : new int[] {1, 7, 86, 100, size}) {
            ByteBuffer codes = ByteBuffer.allocate(size);
            for (int from = 0; from < size; from += chunkSize) {
                WeightLoader.encode(int4, from, Math.min(chunkSize, size - from), codes);
            }
            for (int i = 0; i < size; i++) {
                int row = i / int4.k();
                assertThat(int4.rowScale()[row] * E4m3.decode(codes.get(i))).as("weight %d", i)
                        .isEqualTo(int4.get(row, i % int4.k()) + 0f); // no negative zero
            }
        }
    }
}
