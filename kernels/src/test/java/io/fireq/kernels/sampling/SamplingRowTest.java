package io.fireq.kernels.sampling;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.IntBuffer;
import org.junit.jupiter.api.Test;

class SamplingRowTest {

    @Test
    void a_row_is_written_field_by_field() {
        int[] ints = new int[SamplingRow.INTS + 2];
        new SamplingRow(0x1122334455667788L, 9, 0.5f, 40, 0.75f, 0.125f, 1.5f, 2f, -3f, 70, 8)
                .write(IntBuffer.wrap(ints), 2);
        assertThat(ints).containsExactly(0, 0, 0x55667788, 0x11223344, 9, Float.floatToRawIntBits(0.5f), 40,
                Float.floatToRawIntBits(0.75f), Float.floatToRawIntBits(0.125f), Float.floatToRawIntBits(1.5f),
                Float.floatToRawIntBits(2f), Float.floatToRawIntBits(-3f), 70, 8);
    }
}
