package io.fireq.engine.quant;

import io.fireq.engine.tensor.E4m3;
import io.fireq.engine.tensor.Int4Matrix;
import java.util.Comparator;
import java.util.stream.IntStream;

/** The sixteen values that a group's codes stand for, e4m3(values[code] · σ), and the search for the nearest. */
final class Int4Grid {
    /** What the codes stand for at σ = 1, ascending. */
    private final float[] levels = new float[Int4Matrix.CODES];
    /** The code of each level. */
    private final byte[] codes = new byte[Int4Matrix.CODES];
    /** e4m3(level · σ). */
    private final float[] products = new float[Int4Matrix.CODES];
    /** Where products[i] and products[i + 1] are equally near. */
    private final float[] middles = new float[Int4Matrix.CODES - 1];

    /** @param values {@code [16]} by code; the largest is above 0 */
    Int4Grid(float[] values) {
        int[] ascending = IntStream.range(0, Int4Matrix.CODES).boxed()
                .sorted(Comparator.comparingDouble(code -> values[code])).mapToInt(Integer::intValue).toArray();
        for (int i = 0; i < Int4Matrix.CODES; i++) {
            levels[i] = values[ascending[i]];
            codes[i] = (byte) ascending[i];
        }
    }

    /** @param scale σ, an e4m3 value above 0 */
    void scale(float scale) {
        for (int i = 0; i < Int4Matrix.CODES; i++) {
            products[i] = E4m3.round(levels[i] * scale);
        }
        for (int i = 0; i < Int4Matrix.CODES - 1; i++) {
            middles[i] = (products[i] + products[i + 1]) / 2;
        }
    }

    /** The scale at which the largest code stands for {@code absmax}. */
    float scaleFor(float absmax) {
        return absmax / levels[Int4Matrix.CODES - 1];
    }

    /** The rank, 0..15 from the lowest value on, of the value nearest to {@code x}; NaN is in the middle. */
    int nearest(float x) {
        if (x != x) {
            return Int4Matrix.CODES / 2;
        }
        int i = x > middles[7] ? 8 : 0;
        i += x > middles[i + 3] ? 4 : 0;
        i += x > middles[i + 1] ? 2 : 0;
        i += x > middles[i] ? 1 : 0;
        return i;
    }

    /** The value of a rank. */
    float value(int rank) {
        return products[rank];
    }

    /** The code of a rank. */
    byte code(int rank) {
        return codes[rank];
    }

    float lowest() {
        return products[0];
    }

    float highest() {
        return products[Int4Matrix.CODES - 1];
    }
}
