package io.fireq.engine.tensor;

import java.nio.ByteBuffer;
import java.util.Arrays;

/**
 * FP8 weights with one scale per row: {@code w[n,k] = rowScale[n] · e4m3(codes[n,k])}.
 *
 * @param name     the checkpoint's name, used in messages
 * @param n        rows
 * @param k        columns
 * @param codes    {@code [n, k]} e4m3 codes
 * @param rowScale {@code [n]}
 */
public record E4m3Matrix(String name, int n, int k, ByteBuffer codes, float[] rowScale) implements WeightMatrix {

    public E4m3Matrix {
        if (codes.remaining() != (long) n * k || rowScale.length != n) {
            throw new IllegalArgumentException("Tensor '%s' [%d, %d]: got %,d codes and %,d row scales"
                    .formatted(name, n, k, codes.remaining(), rowScale.length));
        }
        codes = codes.slice();
    }

    @Override
    public float get(int row, int column) {
        return rowScale[row] * E4m3.decode(codes.get(row * k + column));
    }

    @Override
    public long byteSize() {
        return codes.capacity() + 4L * n;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof E4m3Matrix m && name.equals(m.name) && n == m.n && k == m.k && codes.equals(m.codes)
                && Arrays.equals(rowScale, m.rowScale);
    }

    @Override
    public int hashCode() {
        return Arrays.hashCode(new Object[] {name, n, k});
    }

    @Override
    public String toString() {
        return "'%s' e4m3 [%d, %d]".formatted(name, n, k);
    }
}
