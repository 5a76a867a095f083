package io.fireq.engine.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import java.nio.ByteBuffer;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class Int4MatrixTest {

    @Test
    void unpacks_all_256_bytes() {
        byte[] packed = new byte[256];
        for (int i = 0; i < 256; i++) {
            packed[i] = (byte) i;
        }
        Int4Matrix matrix = matrix(1, 512, 128, packed, new byte[4], Int4Matrix.integers());
        for (int i = 0; i < 256; i++) {
            int low = i % 16;
            int high = i / 16;
            assertThat(matrix.code(0, 2 * i)).as("low nibble of %02x", i).isEqualTo(low);
            assertThat(matrix.code(0, 2 * i + 1)).as("high nibble of %02x", i).isEqualTo(high);
        }
    }

    /** The bytes for the codes -8 … -1 that the lookup table of FireQ's kernel holds (section 1.4). */
    @ParameterizedTest
    @CsvSource({
        "38, D0 CE CC CA C8 C4 C0 B8",
        "39, D1 D0 CE CB C9 C6 C1 B9",
        "3E, D6 D4 D2 D1 CE CA C6 BE",
        "03, 94 92 91 8F 8C 89 86 83"})
    void value_table_is_the_kernels_lookup_table(String scaleHex, String negativeHex) {
        byte scale = (byte) Integer.parseInt(scaleHex, 16);
        Int4Matrix matrix = matrix(1, 2, 2, new byte[1], new byte[] {scale}, Int4Matrix.integers());
        float[] table = new float[19];
        matrix.valueTable(0, 0, table, 3);
        String[] negative = negativeHex.split(" ");
        assertThat(table[3]).isZero();
        for (int q = -8; q < 0; q++) {
            float value = E4m3.decode((byte) Integer.parseInt(negative[q + 8], 16));
            assertThat(table[3 + (q & 15)]).as("code %d", q).isEqualTo(value);
            if (q > -8) {
                assertThat(table[3 - q]).as("code %d", -q).isEqualTo(-value);
            }
        }
    }

    @Test
    void two_families_of_values_have_names() {
        assertThat(Int4Matrix.integers()).containsExactly(0, 1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1);
        assertThat(Int4Matrix.signMagnitude(1, 2, 3, 4, 5, 6, 7, 9))
                .containsExactly(1, 2, 3, 4, 5, 6, 7, 9, -1, -2, -3, -4, -5, -6, -7, -9);
        assertThatIllegalArgumentException().isThrownBy(() -> Int4Matrix.signMagnitude(1, 2))
                .withMessageContaining("magnitudes need 8 elements, got 2");
    }

    @Test
    void get_is_row_scale_times_table_entry_of_the_code() {
        int n = 7;
        int k = 48;
        int groupSize = 16;
        Random random = new Random(20_251);
        byte[] packed = new byte[n * k / 2];
        random.nextBytes(packed);
        byte[] scales = new byte[n * k / groupSize];
        for (int i = 0; i < scales.length; i++) {
            scales[i] = E4m3.encode(0.01f + 50 * random.nextFloat());
        }
        float[] values = Int4Matrix.signMagnitude(0.7f, 1.4f, 2.2f, 3.1f, 4.1f, 5.3f, 7.1f, 8.9f);
        Int4Matrix matrix = matrix(n, k, groupSize, packed, scales, values);
        float[] table = new float[16];
        for (int row = 0; row < n; row++) {
            for (int column = 0; column < k; column++) {
                matrix.valueTable(row, column / groupSize, table, 0);
                float expected = matrix.rowScale()[row] * table[matrix.code(row, column)];
                assertThat(matrix.get(row, column)).as("[%d, %d]", row, column).isEqualTo(expected);
            }
        }
    }

    @Test
    void rows_of_odd_length_begin_at_whole_bytes() {
        byte[] packed = {0x21, 0x03, 0x65, 0x07};
        Int4Matrix matrix = matrix(2, 3, 3, packed, new byte[] {0x38, 0x40}, Int4Matrix.integers());
        assertThat(matrix.rowBytes()).isEqualTo(2);
        assertThat(new int[] {matrix.code(0, 0), matrix.code(0, 1), matrix.code(0, 2)}).containsExactly(1, 2, 3);
        assertThat(new int[] {matrix.code(1, 0), matrix.code(1, 1), matrix.code(1, 2)}).containsExactly(5, 6, 7);
        assertThat(matrix.get(1, 2)).isEqualTo(7 * 2 * matrix.rowScale()[1]);
    }

    @Test
    void refuses_parts_of_the_wrong_size() {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> matrix(2, 6, 4, new byte[6], new byte[2], Int4Matrix.integers()))
                .withMessageContaining("k=6 is not a multiple of groupSize=4");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> matrix(2, 6, 2, new byte[5], new byte[6], Int4Matrix.integers()))
                .withMessageContaining("packed codes need 6 elements, got 5");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> matrix(2, 6, 2, new byte[6], new byte[7], Int4Matrix.integers()))
                .withMessageContaining("group scales need 6 elements, got 7");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> matrix(2, 6, 2, new byte[6], new byte[6], new float[7]))
                .withMessageContaining("values need 16 elements, got 7");
    }

    private static Int4Matrix matrix(int n, int k, int groupSize, byte[] packed, byte[] scales, float[] values) {
        float[] rowScale = new float[n];
        for (int row = 0; row < n; row++) {
            rowScale[row] = 0.5f + row;
        }
        return new Int4Matrix("w", n, k, groupSize, ByteBuffer.wrap(packed), ByteBuffer.wrap(scales), rowScale,
                values);
    }
}
