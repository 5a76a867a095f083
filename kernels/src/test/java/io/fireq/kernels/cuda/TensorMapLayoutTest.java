package io.fireq.kernels.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.fireq.kernels.cuda.TensorMap.Element;
import io.fireq.kernels.cuda.TensorMap.Layout;
import io.fireq.kernels.cuda.TensorMap.Swizzle;
import org.junit.jupiter.api.Test;

class TensorMapLayoutTest {

    @Test
    void a_matrix_is_given_innermost_dimension_first() {
        assertThat(Layout.matrix(Element.BF16, 7, 96, 4, 64, Swizzle.B128)).isEqualTo(new Layout(Element.BF16,
                new long[] {96, 7}, new long[] {192}, new int[] {64, 4}, Swizzle.B128));
    }

    @Test
    void spans_from_the_first_to_the_last_element() {
        assertThat(Layout.matrix(Element.F32, 7, 96, 4, 4, Swizzle.NONE).byteSize()).isEqualTo(7 * 96 * 4);
        assertThat(new Layout(Element.U8, new long[] {10, 3}, new long[] {64}, new int[] {16, 1}, Swizzle.NONE).byteSize())
                .isEqualTo(2 * 64 + 10);
    }

    @Test
    void refuses_what_the_hardware_cannot_copy() {
        refused("strideBytes[0] is 130", () -> Layout.matrix(Element.U8, 5, 130, 5, 64, Swizzle.NONE));
        refused("box[1] is 257", () -> Layout.matrix(Element.U8, 500, 128, 257, 64, Swizzle.NONE));
        refused("inner box bytes is 24", () -> Layout.matrix(Element.U8, 5, 128, 5, 24, Swizzle.NONE));
        refused("at most 64 with swizzle B64", () -> Layout.matrix(Element.BF16, 5, 128, 5, 64, Swizzle.B64));
        refused("dims[1] is 0", () -> Layout.matrix(Element.U8, 0, 128, 1, 64, Swizzle.NONE));
        refused("rank of the box is 1", () -> new Layout(Element.U8, new long[] {64, 2}, new long[] {64}, new int[] {64},
                Swizzle.NONE));
        refused("rank is 6", () -> new Layout(Element.U8, new long[6], new long[5], new int[6], Swizzle.NONE));
    }

    private static void refused(String message, Runnable layout) {
        assertThatThrownBy(layout::run).isInstanceOf(IllegalArgumentException.class).hasMessageContaining(message);
    }
}
