package io.fireq.kernels.gemm;

import java.util.Optional;

/**
 * The sixteen values behind the codes of an int4 weight as the fast kernels decode them, {@code quant/int4.cuh}: eight
 * magnitudes and a rule.
 *
 * @param isSignMagnitude whether nibble i < 8 stands for {@code magnitudes[i]} and nibble 8 + i for its opposite; else
 *                        nibbles are two's complement, q stands for {@code sign(q) * magnitudes[|q| - 1]} and 0 for 0
 * @param magnitudes      {@code [8]}
 */
record Int4Levels(boolean isSignMagnitude, float[] magnitudes) {
    private static final int COUNT = 8;

    /** For weights that are not int4. */
    static final Int4Levels NONE = new Int4Levels(false, new float[COUNT]);

    /** The rule that values follow; empty where they follow neither. */
    static Optional<Int4Levels> of(float[] values) {
        if (values.length != 2 * COUNT) {
            throw new IllegalArgumentException("Int4Levels: %d values, required %d".formatted(values.length, 2 * COUNT));
        }
        boolean isSignMagnitude = true;
        boolean isTwosComplement = values[0] == 0;
        for (int i = 0; i < COUNT; i++) {
            isSignMagnitude &= values[COUNT + i] == -values[i];
            isTwosComplement &= i == 0 || values[2 * COUNT - i] == -values[i];
        }
        float[] magnitudes = new float[COUNT];
        for (int i = 0; i < COUNT; i++) {
            magnitudes[i] = isSignMagnitude ? values[i] : -values[2 * COUNT - 1 - i];
        }
        return isSignMagnitude || isTwosComplement
                ? Optional.of(new Int4Levels(isSignMagnitude, magnitudes))
                : Optional.empty();
    }
}
