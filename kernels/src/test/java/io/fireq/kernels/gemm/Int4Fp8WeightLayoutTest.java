package io.fireq.kernels.gemm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.fireq.kernels.testing.Seeded;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class Int4Fp8WeightLayoutTest {

    @ParameterizedTest
    @CsvSource({
        "1,    16,   16,   false",
        "2,    16,   16,   true",
        "70,   144,  144,  false",
        "130,  272,  128,  false",
        "256,  128,  128,  false",
        "254,  640,  256,  true",
        "300,  384,  128,  true",
        "1024, 512,  128,  false",
        "3072, 512,  128,  true",
    })
    void unpacking_gives_back_what_was_packed(int n, int k, int groupSize, boolean gated) {
        Seeded random = Seeded.fresh("layout");
        byte[] codes = random.bytes(n * (k / 2));
        for (boolean signMagnitude : new boolean[] {false, true}) {
            Int4Fp8WeightLayout layout = new Int4Fp8WeightLayout(n, k, groupSize, gated, signMagnitude);
            byte[] scales = random.bytes(n * layout.groups());
            byte[] packed = layout.pack(codes, scales);
            assertThat(packed).hasSize((int) layout.byteSize());
            Int4Fp8WeightLayout.Unpacked unpacked = layout.unpack(packed);
            assertThat(unpacked.codes()).as(random.toString()).isEqualTo(codes);
            assertThat(unpacked.groupScales()).as(random.toString()).isEqualTo(scales);
        }
    }

    @Test
    void every_nibble_and_scale_has_a_place_of_its_own() {
        Int4Fp8WeightLayout layout = new Int4Fp8WeightLayout(256, 256, 128, false, false);
        byte[] codes = new byte[256 * 128];
        Arrays.fill(codes, (byte) 0xff);
        byte[] scales = new byte[512];
        Arrays.fill(scales, (byte) 0xff);
        byte[] packed = layout.pack(codes, scales);
        for (byte b : packed) {
            assertThat(b).isEqualTo((byte) 0xff);
        }
    }

    @Test
    void a_lane_finds_its_fragment_in_two_words_of_sixteen_bytes() {
        Int4Fp8WeightLayout layout = new Int4Fp8WeightLayout(64, 128, 128, false, false);
        // Row 21 = 16 + 5 belongs to strip 1, lanes 20..23; columns 64 + 16 + 8.. are step 2, codes 4 and 5 of lane 22.
        byte[] codes = new byte[64 * 64];
        codes[21 * 64 + (64 + 16 + 8) / 2] = (byte) 0x9d;
        byte[] packed = layout.pack(codes, new byte[64]);
        int lane = 5 * 4 + 2;
        int word = 1040 + 512 + lane * 16;
        // -3 has index 5 and -7 index 1; their signs are bits 3 and 11 of the word.
        assertThat(Arrays.copyOfRange(packed, word, word + 4)).containsExactly(0x08, 0x08, 0x15, 0x00);
        Arrays.fill(packed, word, word + 4, (byte) 0);
        assertThat(packed).containsOnly(0);
    }

    @Test
    void codes_become_magnitude_indices_and_signs() {
        Int4Fp8WeightLayout layout = new Int4Fp8WeightLayout(1, 16, 16, false, false);
        byte[] codes = {0x10, 0x32, 0x54, 0x76, (byte) 0x98, (byte) 0xba, (byte) 0xdc, (byte) 0xfe};
        byte[] packed = layout.pack(codes, new byte[1]);
        // Columns 0..3 are the lower half of thread 0's first word, 4..7 of thread 1's, and so on; signs are spread.
        assertThat(Arrays.copyOfRange(packed, 0, 4)).containsExactly(0x70, 0x56, 0x00, 0x00);
        assertThat(Arrays.copyOfRange(packed, 16, 20)).containsExactly(0x34, 0x12, 0x00, 0x00);
        assertThat(Arrays.copyOfRange(packed, 32, 36)).containsExactly(0x90, 0xb2, 0x80, 0x80);
        assertThat(Arrays.copyOfRange(packed, 48, 52)).containsExactly(0xd4, 0xf6, 0x80, 0x80);
    }

    @Test
    void codes_of_sign_and_index_stay_as_they_are() {
        Int4Fp8WeightLayout layout = new Int4Fp8WeightLayout(1, 16, 16, false, true);
        byte[] codes = {0x10, 0x32, 0x54, 0x76, (byte) 0x98, (byte) 0xba, (byte) 0xdc, (byte) 0xfe};
        byte[] packed = layout.pack(codes, new byte[1]);
        assertThat(Arrays.copyOfRange(packed, 0, 4)).containsExactly(0x10, 0x32, 0x00, 0x00);
        assertThat(Arrays.copyOfRange(packed, 16, 20)).containsExactly(0x54, 0x76, 0x00, 0x00);
        assertThat(Arrays.copyOfRange(packed, 32, 36)).containsExactly(0x90, 0xb2, 0x80, 0x80);
        assertThat(Arrays.copyOfRange(packed, 48, 52)).containsExactly(0xd4, 0xf6, 0x80, 0x80);
    }

    @Test
    void gates_and_ups_alternate_in_runs_of_eight() {
        Int4Fp8WeightLayout layout = new Int4Fp8WeightLayout(40, 128, 128, true, false);
        assertThat(layout.packedRows()).isEqualTo(256);
        assertThat(layout.sourceRow(0)).isZero();
        assertThat(layout.sourceRow(7)).isEqualTo(7);
        assertThat(layout.sourceRow(8)).isEqualTo(20);
        assertThat(layout.sourceRow(16)).isEqualTo(8);
        assertThat(layout.sourceRow(32 + 3)).isEqualTo(19);
        assertThat(layout.sourceRow(32 + 4)).isEqualTo(-1);
        assertThat(layout.sourceRow(40 + 3)).isEqualTo(39);
        assertThat(layout.sourceRow(48)).isEqualTo(-1);
    }

    @Test
    void refuses_what_the_kernel_cannot_read_and_says_why() {
        assertThatThrownBy(() -> new Int4Fp8WeightLayout(4, 100, 100, false, false)).hasMessageContaining("k=100")
                .hasMessageContaining("multiple of 16");
        assertThatThrownBy(() -> new Int4Fp8WeightLayout(4, 256, 64, false, false)).hasMessageContaining("groupSize=64");
        assertThatThrownBy(() -> new Int4Fp8WeightLayout(5, 256, 128, true, false)).hasMessageContaining("n=5");
    }
}
