package io.fireq.engine.tensor;

import java.nio.ByteBuffer;
import java.util.Arrays;

/**
 * INT4 weights with two-level scales (FireQ section 1, with a row scale in place of the paper's per-tensor multiplier):
 *
 * <pre>{@code w[n,k] = rowScale[n] · e4m3(values[code[n,k]] · σ[n, k / groupSize]),   code in 0..15}</pre>
 *
 * The sixteen values are a matrix' own. Two families of them have fast kernels: two's complement, where codes 0..15 are
 * 0, m₁, …, m₇, −m₈, …, −m₁ (the paper's with mᵢ = i), and sign and magnitude, where they are m₀, …, m₇, −m₀, …, −m₇.
 *
 * <p>The inner product with σ is rounded to e4m3, because that byte is what the tensor core multiplies.
 *
 * @param name       the checkpoint's name, used in messages
 * @param n          rows
 * @param k          columns; a multiple of {@code groupSize}, which is even unless it is {@code k} itself
 * @param groupSize  columns that share one σ
 * @param packed     {@code [n, ceil(k/2)]} bytes, a code in four bits, low nibble = even column
 * @param scales     {@code [n, k/groupSize]} e4m3 codes of σ
 * @param rowScale   {@code [n]} multiplies a whole row
 * @param values     {@code [16]} what the codes stand for
 */
public record Int4Matrix(String name, int n, int k, int groupSize, ByteBuffer packed, ByteBuffer scales,
        float[] rowScale, float[] values) implements WeightMatrix {

    /** Codes there are. */
    public static final int CODES = 16;

    public Int4Matrix {
        if (groupSize < 1 || k % groupSize != 0) {
            throw new IllegalArgumentException(
                    "Tensor '%s': k=%d is not a multiple of groupSize=%d".formatted(name, k, groupSize));
        }
        requireLength(name, "packed codes", packed.remaining(), (long) n * ((k + 1) / 2));
        requireLength(name, "group scales", scales.remaining(), (long) n * (k / groupSize));
        requireLength(name, "row scales", rowScale.length, n);
        requireLength(name, "values", values.length, CODES);
        packed = packed.slice();
        scales = scales.slice();
    }

    private static void requireLength(String name, String part, long actual, long required) {
        if (actual != required) {
            throw new IllegalArgumentException(
                    "Tensor '%s': %s need %,d elements, got %,d".formatted(name, part, required, actual));
        }
    }

    /** The values −8..7 of the paper, two's complement. */
    public static float[] integers() {
        return twosComplement(1, 2, 3, 4, 5, 6, 7, 8);
    }

    /** Values of two's complement codes q = −8..7: {@code sign(q) · magnitudes[|q| - 1]}, and 0. */
    public static float[] twosComplement(float... magnitudes) {
        requireLength("values", "magnitudes", magnitudes.length, CODES / 2);
        float[] values = new float[CODES];
        for (int q = 1; q <= CODES / 2; q++) {
            values[CODES - q] = -magnitudes[q - 1];
            if (q < CODES / 2) {
                values[q] = magnitudes[q - 1];
            }
        }
        return values;
    }

    /** Values of codes that are a sign (bit 3) and an index: {@code ±magnitudes[index]}. */
    public static float[] signMagnitude(float... magnitudes) {
        requireLength("values", "magnitudes", magnitudes.length, CODES / 2);
        float[] values = new float[CODES];
        for (int i = 0; i < CODES / 2; i++) {
            values[i] = magnitudes[i];
            values[CODES / 2 + i] = -magnitudes[i];
        }
        return values;
    }

    /** Bytes of one packed row. */
    public int rowBytes() {
        return (k + 1) / 2;
    }

    /** Groups in one row. */
    public int groups() {
        return k / groupSize;
    }

    /** The code of one weight, 0..15. */
    public int code(int row, int column) {
        return packed.get(row * rowBytes() + column / 2) >> (column & 1) * 4 & CODES - 1;
    }

    /** The group scale σ of a row. */
    public float scale(int row, int group) {
        return E4m3.decode(scales.get(row * groups() + group));
    }

    /**
     * The products e4m3(value · σ) of one group, indexed by the code.
     *
     * @param table receives 16 floats from {@code offset} on
     */
    public void valueTable(int row, int group, float[] table, int offset) {
        float scale = scale(row, group);
        for (int code = 0; code < CODES; code++) {
            table[offset + code] = E4m3.round(values[code] * scale);
        }
    }

    @Override
    public float get(int row, int column) {
        return rowScale[row] * E4m3.round(values[code(row, column)] * scale(row, column / groupSize));
    }

    @Override
    public void copyRow(int row, float[] target) {
        float[] table = new float[CODES];
        for (int column = 0; column < k; column++) {
            if (column % groupSize == 0) {
                valueTable(row, column / groupSize, table, 0);
            }
            target[column] = rowScale[row] * table[code(row, column)];
        }
    }

    @Override
    public long byteSize() {
        return packed.capacity() + scales.capacity() + 4L * n;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof Int4Matrix m && name.equals(m.name) && n == m.n && k == m.k && groupSize == m.groupSize
                && packed.equals(m.packed) && scales.equals(m.scales) && Arrays.equals(rowScale, m.rowScale)
                && Arrays.equals(values, m.values);
    }

    @Override
    public int hashCode() {
        return Arrays.hashCode(new Object[] {name, n, k, groupSize});
    }

    @Override
    public String toString() {
        return "'%s' int4 [%d, %d] groupSize %d".formatted(name, n, k, groupSize);
    }
}
