package io.fireq.engine.tensor;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

class Bf16Test {
    private static final int INFINITY = 0x7f80;
    /** Magnitudes by definition; in the place of infinity the value it is nearest from, 2^128. */
    private static final double[] MAGNITUDES = FloatSamples.values(INFINITY + 1, code -> {
        int exponent = (int) code / 128;
        int mantissa = (int) code % 128;
        return exponent == 0 ? mantissa * Math.pow(2, -133) : (128 + mantissa) * Math.pow(2, exponent - 134);
    });

    @Test
    void decodes_all_65536_codes() {
        for (int code = 0; code < 65536; code++) {
            int magnitude = code & 0x7fff;
            float expected = magnitude > INFINITY ? Float.NaN : (float) MAGNITUDES[magnitude];
            float signed = code < 32768 ? expected : -expected;
            if (Float.compare(Bf16.decode((short) code), signed) != 0) {
                assertThat(Bf16.decode((short) code)).as("code %04x", code).isEqualTo(signed);
            }
        }
    }

    @Test
    void encodes_to_the_nearest_value_with_ties_to_even() {
        Stream.concat(FloatSamples.aroundTies(MAGNITUDES), FloatSamples.acrossAllFloats()).forEach(x -> {
            int magnitude = FloatSamples.nearest(MAGNITUDES, Math.min(Math.abs((double) x), 0x1p128));
            int expected = Float.floatToRawIntBits(x) < 0 ? magnitude | 0x8000 : magnitude;
            if ((Bf16.encode(x) & 0xffff) != expected
                    || Float.compare(Bf16.round(x), Bf16.decode((short) expected)) != 0) {
                assertThat(Bf16.encode(x) & 0xffff).as("encode(%s)", x).isEqualTo(expected);
                assertThat(Bf16.round(x)).as("round(%s)", x).isEqualTo(Bf16.decode((short) expected));
            }
        });
    }

    @Test
    void keeps_nan() {
        assertThat(Bf16.round(Float.NaN)).isNaN();
        assertThat(Bf16.round(Float.intBitsToFloat(0x7f800001))).as("payload in the lower half only").isNaN();
        assertThat(Bf16.round(Float.intBitsToFloat(-1))).as("payload that would carry into the sign").isNaN();
    }
}
