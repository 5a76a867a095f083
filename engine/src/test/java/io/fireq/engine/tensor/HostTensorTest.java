package io.fireq.engine.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;
import org.junit.jupiter.api.Test;

class HostTensorTest {
    private static final int MAX = Integer.MAX_VALUE;

    @Test
    void reads_every_number_format_little_endian() {
        ByteBuffer bytes = ByteBuffer.wrap(new byte[] {0, 0, (byte) 0xc0, 0x3f}); // 1.5f
        assertThat(new HostTensor("t", DType.F32, List.of(1), bytes).toFloats()).containsExactly(1.5f);
        assertThat(new HostTensor("t", DType.BF16, List.of(2), bytes).toFloats()).containsExactly(0, 1.5f);
        assertThat(new HostTensor("t", DType.F16, List.of(2), bytes).toFloats()).containsExactly(0, 1.9375f);
        assertThat(new HostTensor("t", DType.E4M3, List.of(2, 2), bytes).toFloats())
                .containsExactly(0, 0, -2, 1.875f);
        assertThatIllegalArgumentException()
                .isThrownBy(() -> new HostTensor("t", DType.U8, List.of(4), bytes).get(0))
                .withMessageContaining("raw bytes");
    }

    @Test
    void copies_a_range() {
        float[] target = new float[5];
        HostTensor floats = HostTensor.ofFloats("t", List.of(2, 3), new float[] {1, 2, 3, 4, 5, 6});
        floats.copyTo(2, target, 1, 3);
        assertThat(target).containsExactly(0, 3, 4, 5, 0);
        ByteBuffer halves = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN);
        halves.asShortBuffer().put(new short[] {Bf16.encode(1), Bf16.encode(2), Bf16.encode(3), Bf16.encode(4)});
        new HostTensor("t", DType.BF16, List.of(4), halves).copyTo(1, target, 3, 2);
        assertThat(target).containsExactly(0, 3, 4, 2, 3);
    }

    @Test
    void takes_the_remaining_bytes_of_its_buffer() {
        ByteBuffer bytes = ByteBuffer.wrap(new byte[] {9, 1, 2, 9}).position(1).limit(3);
        HostTensor tensor = new HostTensor("t", DType.U8, List.of(2), bytes);
        assertThat(tensor.data().get(0)).isEqualTo((byte) 1);
        assertThat(tensor.size()).isEqualTo(2);
    }

    @Test
    void refuses_a_shape_that_its_data_does_not_fill() {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> new HostTensor("t", DType.F32, List.of(2, 3), ByteBuffer.allocate(20)))
                .withMessage("Tensor 't' F32 [2, 3]: needs 24 bytes, has 20");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> new HostTensor("t", DType.U8, List.of(-2, -2), ByteBuffer.allocate(4)))
                .withMessageContaining("negative");
    }

    @Test
    void takes_an_empty_tensor_whatever_its_other_dimensions() {
        assertThat(new HostTensor("t", DType.F32, List.of(MAX, MAX, MAX, 0), ByteBuffer.allocate(0)).size()).isZero();
    }

    @Test
    void an_e4m3_matrix_multiplies_rows_by_their_scale() {
        byte[] codes = {0x38, 0x40, (byte) 0xb8, 0x48, 0, 0x7e};
        E4m3Matrix matrix = new E4m3Matrix("w", 2, 3, ByteBuffer.wrap(codes), new float[] {10, 0.5f});
        assertThat(new float[] {matrix.get(0, 0), matrix.get(0, 1), matrix.get(0, 2)}).containsExactly(10, 20, -10);
        assertThat(new float[] {matrix.get(1, 0), matrix.get(1, 1), matrix.get(1, 2)}).containsExactly(2, 0, 224);
        assertThatIllegalArgumentException()
                .isThrownBy(() -> new E4m3Matrix("w", 3, 3, ByteBuffer.wrap(codes), new float[3]))
                .withMessageContaining("6 codes");
    }
}
