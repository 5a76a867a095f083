package io.fireq.engine.tensor;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

class E4m3Test {
    private static final int NAN_CODE = 0x7f;
    /** The 127 magnitudes 0 … 448, by their definition: mantissa · 2^exponent. */
    private static final double[] MAGNITUDES = FloatSamples.values(NAN_CODE, code -> {
        int exponent = (int) code / 8;
        int mantissa = (int) code % 8;
        return exponent == 0 ? mantissa * Math.pow(2, -9) : (8 + mantissa) * Math.pow(2, exponent - 10);
    });

    @Test
    void decodes_all_256_codes() {
        for (int code = 0; code < 256; code++) {
            float value = E4m3.decode((byte) code);
            if ((code & NAN_CODE) == NAN_CODE) {
                assertThat(value).as("code %02x", code).isNaN();
            } else {
                float magnitude = (float) MAGNITUDES[code & NAN_CODE];
                assertThat(value).as("code %02x", code).isEqualTo(code < 128 ? magnitude : -magnitude);
            }
        }
        assertThat(MAGNITUDES[1]).isEqualTo(E4m3.MIN_SUBNORMAL);
        assertThat(MAGNITUDES[126]).isEqualTo(E4m3.MAX);
    }

    @Test
    void all_256_codes_survive_a_round_trip() {
        for (int code = 0; code < 256; code++) {
            assertThat(E4m3.encode(E4m3.decode((byte) code)) & NAN_CODE).as("code %02x", code)
                    .isEqualTo(code & NAN_CODE);
            if ((code & NAN_CODE) != NAN_CODE) {
                assertThat(E4m3.encode(E4m3.decode((byte) code))).as("code %02x", code).isEqualTo((byte) code);
            }
        }
    }

    @Test
    void encodes_to_the_nearest_value_with_ties_to_even() {
        Stream.concat(FloatSamples.aroundTies(MAGNITUDES), FloatSamples.acrossAllFloats()).forEach(x -> {
            int magnitude = FloatSamples.nearest(MAGNITUDES, Math.abs(x));
            int expected = Float.floatToRawIntBits(x) < 0 ? magnitude | 0x80 : magnitude;
            if ((E4m3.encode(x) & 0xff) != expected) {
                assertThat(E4m3.encode(x) & 0xff).as("encode(%s)", x).isEqualTo(expected);
            }
        });
    }

    @Test
    void saturates_and_keeps_nan() {
        assertThat(E4m3.round(449)).isEqualTo(448);
        assertThat(E4m3.round(1e30f)).isEqualTo(448);
        assertThat(E4m3.round(Float.POSITIVE_INFINITY)).isEqualTo(448);
        assertThat(E4m3.round(Float.NEGATIVE_INFINITY)).isEqualTo(-448);
        assertThat(E4m3.round(Float.NaN)).isNaN();
        assertThat(E4m3.round(-Float.NaN)).isNaN();
        assertThat(Float.floatToRawIntBits(E4m3.round(-0f))).isEqualTo(Float.floatToRawIntBits(-0f));
    }
}
