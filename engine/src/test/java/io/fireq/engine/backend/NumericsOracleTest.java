package io.fireq.engine.backend;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.fireq.engine.backend.NumericsOracle.KvVector;
import io.fireq.engine.backend.NumericsOracle.Quantized;
import io.fireq.engine.tensor.Int4Matrix;
import java.nio.ByteBuffer;
import java.util.List;
import org.junit.jupiter.api.Test;

/** The oracle on numbers worked out by hand. */
class NumericsOracleTest {
    private final NumericsOracle oracle = new NumericsOracle(true);

    @Test
    void formats_round_ties_to_even_and_e4m3_saturates() {
        assertThat(NumericsOracle.e4m3(17)).isEqualTo(16); // 16 and 18 are neighbours, 16 has the even mantissa
        assertThat(NumericsOracle.e4m3(19)).isEqualTo(20);
        assertThat(NumericsOracle.e4m3(-1000)).isEqualTo(-448);
        assertThat(NumericsOracle.e4m3(1.5 / 512)).isEqualTo(2.0 / 512); // subnormal, tie
        assertThat(NumericsOracle.e4m3(0.5 / 512)).isZero();
        assertThat(NumericsOracle.bf16(1 + 1.0 / 256)).isEqualTo(1);
        assertThat(NumericsOracle.bf16(1 + 3.0 / 256)).isEqualTo(1 + 4.0 / 256);
        assertThat(NumericsOracle.f16(2049)).isEqualTo(2048);
        assertThat(NumericsOracle.e4m3Value((byte) 0x7e)).isEqualTo(448);
        assertThat(NumericsOracle.e4m3Value((byte) 0x81)).isEqualTo(-1.0 / 512);
    }

    @Test
    void a_row_is_scaled_to_448() {
        Quantized q = oracle.quantize(new double[] {896, -2, 34, 0});
        assertThat(q.scale()).isEqualTo(2);
        assertThat(q.values()).containsExactly(448, -1, 16, 0); // 34 / 2 = 17 rounds to 16
        assertThat(oracle.quantize(new double[3]).scale()).isEqualTo(1);
    }

    @Test
    void int4_weights_round_the_product_with_the_group_scale() {
        // codes 3, -8 | 7, 0; group scales 1.125 (0x39) and 2 (0x40)
        Int4Matrix w = new Int4Matrix("w", 1, 4, 2, ByteBuffer.wrap(new byte[] {(byte) 0x83, 0x07}),
                ByteBuffer.wrap(new byte[] {0x39, 0x40}), new float[] {0.5f}, Int4Matrix.integers());
        Quantized x = new Quantized(new double[] {1, 10, 100, 1000}, 2);
        // 3.375 lies between 3.25 and 3.5: a tie that goes to 3.5; -9 and 14 are e4m3 values
        assertThat(NumericsOracle.linear(x, List.of(w))).containsExactly(2 * 0.5 * (3.5 - 90 + 1400));
    }

    @Test
    void epilogues_add_and_gate() {
        assertThat(oracle.residualAdd(new double[] {1.0 / 256}, new double[] {1})).containsExactly(1);
        assertThat(oracle.siluMul(new double[] {0, 2, 5, 3})[0]).isZero();
        assertThat(new NumericsOracle(false).siluMul(new double[] {0, 2, 5, 3})[1])
                .isCloseTo(2 / (1 + Math.exp(-2)) * 3, within(1e-12));
    }

    @Test
    void norm_divides_by_the_root_mean_square() {
        assertThat(NumericsOracle.rmsNorm(new double[] {3, 4}, new float[] {2, 10}, 0f))
                .containsExactly(new double[] {6 / Math.sqrt(12.5), 40 / Math.sqrt(12.5)}, within(1e-12));
    }

    @Test
    void rotation_by_a_quarter_turns_the_first_half_into_the_second() {
        AttentionSpec spec = new AttentionSpec(0, 1, 1, 4, new float[] {1, 0}, new float[] {0, 1}, null, 0);
        assertThat(NumericsOracle.rope(new double[] {1, 2, 3, 4}, spec, 0)).containsExactly(1, -4, 3, 2);
    }

    @Test
    void asymmetric_codes_span_the_range_of_a_group() {
        KvVector v = NumericsOracle.kv(new double[] {-2, 13.5, 2.5, -0.5, 31, 31, 31, 31, 0, 0, 0, 0},
                new KvFormat(KvFormat.Kind.ASYMMETRIC, 4));
        assertThat(v.scale()).containsExactly(1, 2, 1);
        assertThat(v.zero()).containsExactly(2, 0, 8); // 7.5 - 5.75 = 1.75; 7.5 - 7.75 = -0.25; 7.5 is a tie
        assertThat(v.codes()).containsExactly(0, 15, 4, 2, 15, 15, 15, 15, 8, 8, 8, 8); // 2.5 and 0.5 are ties
    }

    @Test
    void symmetric_codes_are_offset_by_eight() {
        KvVector v = NumericsOracle.kv(new double[] {7, -7, 0.4, -20}, new KvFormat(KvFormat.Kind.SYMMETRIC, 2));
        assertThat(v.scale()).containsExactly(1, 2.75); // 20/7 = 2.857 lies nearer to 2.75 than to 3
        assertThat(v.zero()).containsExactly(8, 8);
        assertThat(v.codes()).containsExactly(15, 1, 8, 1); // -20/2.75 = -7.27
    }

    @Test
    void attention_weighs_values_by_softmax() {
        KvFormat exact = new KvFormat(KvFormat.Kind.FLOAT32, 2);
        NumericsOracle float32 = new NumericsOracle(false);
        Quantized q = new Quantized(new double[] {Math.sqrt(2), 0}, 1);
        List<KvVector> keys = List.of(NumericsOracle.kv(new double[] {Math.log(3), 5}, exact),
                NumericsOracle.kv(new double[] {0, -5}, exact)); // scores ln 3 and 0: weights 3/4 and 1/4
        List<KvVector> values = List.of(NumericsOracle.kv(new double[] {4, 0}, exact),
                NumericsOracle.kv(new double[] {8, -4}, exact));
        assertThat(float32.attention(q, keys, values)).containsExactly(new double[] {5, -1}, within(1e-12));
    }

    @Test
    void attention_to_one_token_returns_its_rounded_value() {
        KvVector v = NumericsOracle.kv(new double[] {-2, 13.5, 2.4, -0.4}, new KvFormat(KvFormat.Kind.ASYMMETRIC, 4));
        assertThat(oracle.attention(new Quantized(new double[] {1, 2, 3, 4}, 1), List.of(v), List.of(v)))
                .containsExactly(new double[] {-2, 13, 2, 0}, within(1e-6)); // 448 · float32(1/448) is not quite 1
    }
}
