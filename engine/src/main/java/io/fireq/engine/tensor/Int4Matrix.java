package io.fireq.engine.tensor;

import java.nio.ByteBuffer;
import java.util.Arrays;

/**
 * INT4 weights with two-level scales (FireQ section 1, with a row scale in place of the paper's per-tensor multiplier):
 *
 * <pre>{@code w[n,k] = rowScale[n] · e4m3(sign(q) · magnitudes[|q|-1] · σ[n, k / groupSize]),   q = code[n,k] in -8..7}</pre>
 *
 * The inner product with σ is rounded to e4m3, because that byte is what the tensor core multiplies.
 *
 * @param name       the checkpoint's name, used in messages
 * @param n          rows
 * @param k          columns; a multiple of {@code groupSize}, which is even unless it is {@code k} itself
 * @param groupSize  columns that share one σ
 * @param packed     {@code [n, ceil(k/2)]} bytes, two's complement int4, low nibble = even column
 * @param scales     {@code [n, k/groupSize]} e4m3 codes of σ
 * @param rowScale   {@code [n]} multiplies a whole row
 * @param magnitudes {@code [8]} ascending values behind |q| = 1..8; 1..8 for the uniform table
 */
public record Int4Matrix(String name, int n, int k, int groupSize, ByteBuffer packed, ByteBuffer scales,
        float[] rowScale, float[] magnitudes) implements WeightMatrix {

    private static final float[] UNIFORM = {1, 2, 3, 4, 5, 6, 7, 8};

    public Int4Matrix {
        if (groupSize < 1 || k % groupSize != 0) {
            throw new IllegalArgumentException(
                    "Tensor '%s': k=%d is not a multiple of groupSize=%d".formatted(name, k, groupSize));
        }
        requireLength(name, "packed codes", packed.remaining(), (long) n * ((k + 1) / 2));
        requireLength(name, "group scales", scales.remaining(), (long) n * (k / groupSize));
        requireLength(name, "row scales", rowScale.length, n);
        requireLength(name, "magnitudes", magnitudes.length, 8);
        packed = packed.slice();
        scales = scales.slice();
    }

    private static void requireLength(String name, String part, long actual, long required) {
        if (actual != required) {
            throw new IllegalArgumentException(
                    "Tensor '%s': %s need %,d elements, got %,d".formatted(name, part, required, actual));
        }
    }

    /** The table 1..8 of the paper. */
    public static float[] uniformMagnitudes() {
        return UNIFORM.clone();
    }

    /** Bytes of one packed row. */
    public int rowBytes() {
        return (k + 1) / 2;
    }

    /** Groups in one row. */
    public int groups() {
        return k / groupSize;
    }

    /** The code of one weight, -8..7. */
    public int code(int row, int column) {
        int pair = packed.get(row * rowBytes() + column / 2);
        return (column & 1) == 0 ? pair << 28 >> 28 : pair >> 4;
    }

    /** The group scale σ of a row. */
    public float scale(int row, int group) {
        return E4m3.decode(scales.get(row * groups() + group));
    }

    /**
     * The sixteen values e4m3(sign(q) · magnitude · σ) of one group, indexed by the nibble {@code q & 15}.
     *
     * @param table receives 16 floats from {@code offset} on
     */
    public void valueTable(int row, int group, float[] table, int offset) {
        float scale = scale(row, group);
        table[offset] = 0;
        for (int magnitude = 1; magnitude <= 8; magnitude++) {
            float value = E4m3.round(magnitudes[magnitude - 1] * scale);
            if (magnitude < 8) {
                table[offset + magnitude] = value;
            }
            table[offset + 16 - magnitude] = -value;
        }
    }

    @Override
    public float get(int row, int column) {
        int code = code(row, column);
        if (code == 0) {
            return 0;
        }
        float product = Math.signum(code) * magnitudes[Math.abs(code) - 1] * scale(row, column / groupSize);
        return rowScale[row] * E4m3.round(product);
    }

    @Override
    public long byteSize() {
        return packed.capacity() + scales.capacity() + 4L * n;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof Int4Matrix m && name.equals(m.name) && n == m.n && k == m.k && groupSize == m.groupSize
                && packed.equals(m.packed) && scales.equals(m.scales) && Arrays.equals(rowScale, m.rowScale)
                && Arrays.equals(magnitudes, m.magnitudes);
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
