package io.fireq.engine.tensor;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

class F16Test {
    private static final int INFINITY = 0x7c00;
    /** Magnitudes by definition; in the place of infinity the value it is nearest from, 2^16. */
    private static final double[] MAGNITUDES = FloatSamples.values(INFINITY + 1, code -> {
        int exponent = (int) code / 1024;
        int mantissa = (int) code % 1024;
        return exponent == 0 ? mantissa * Math.pow(2, -24) : (1024 + mantissa) * Math.pow(2, exponent - 25);
    });

    @Test
    void decodes_all_65536_codes() {
        for (int code = 0; code < 65536; code++) {
            int magnitude = code & 0x7fff;
            float expected = magnitude > INFINITY ? Float.NaN
                    : magnitude == INFINITY ? Float.POSITIVE_INFINITY : (float) MAGNITUDES[magnitude];
            float signed = code < 32768 ? expected : -expected;
            if (Float.compare(F16.decode((short) code), signed) != 0) {
                assertThat(F16.decode((short) code)).as("code %04x", code).isEqualTo(signed);
            }
        }
        assertThat(F16.decode((short) 0x7bff)).isEqualTo(F16.MAX);
    }

    @Test
    void all_codes_but_nan_survive_a_round_trip() {
        for (int code = 0; code < 65536; code++) {
            float value = F16.decode((short) code);
            if (!Float.isNaN(value) && F16.encode(value) != (short) code) {
                assertThat(F16.encode(value)).as("code %04x", code).isEqualTo((short) code);
            }
        }
    }

    @Test
    void encodes_to_the_nearest_value_with_ties_to_even() {
        Stream.concat(FloatSamples.aroundTies(MAGNITUDES), FloatSamples.acrossAllFloats()).forEach(x -> {
            int magnitude = FloatSamples.nearest(MAGNITUDES, Math.min(Math.abs(x), 65536.0));
            int expected = Float.floatToRawIntBits(x) < 0 ? magnitude | 0x8000 : magnitude;
            if ((F16.encode(x) & 0xffff) != expected) {
                assertThat(F16.encode(x) & 0xffff).as("encode(%s)", x).isEqualTo(expected);
            }
        });
    }

    @Test
    void keeps_nan() {
        assertThat(F16.round(Float.NaN)).isNaN();
        assertThat(F16.round(-Float.NaN)).isNaN();
        assertThat(F16.round(Float.intBitsToFloat(0x7f800001))).isNaN();
    }
}
