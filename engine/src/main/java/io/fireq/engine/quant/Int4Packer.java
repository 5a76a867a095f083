package io.fireq.engine.quant;

import io.fireq.engine.tensor.E4m3;
import io.fireq.engine.tensor.Int4Matrix;
import java.nio.ByteBuffer;

/** Collects codes and scales of one matrix while rows are quantized. Different rows may come from different threads. */
final class Int4Packer {
    private final int n;
    private final int k;
    private final int groupSize;
    private final byte[] packed;
    private final byte[] scales;
    private final float[] rowScale;

    Int4Packer(int n, int k, int groupSize) {
        this.n = n;
        this.k = k;
        this.groupSize = groupSize;
        this.packed = new byte[Math.multiplyExact(n, (k + 1) / 2)];
        this.scales = new byte[Math.multiplyExact(n, k / groupSize)];
        this.rowScale = new float[n];
    }

    void rowScale(int row, float scale) {
        rowScale[row] = scale;
    }

    /** @param scale an e4m3 value */
    void groupScale(int row, int group, float scale) {
        scales[row * (k / groupSize) + group] = E4m3.encode(scale);
    }

    /** @param code -8..7 */
    void code(int row, int column, int code) {
        int at = row * ((k + 1) / 2) + column / 2;
        packed[at] |= (byte) ((code & 15) << (column & 1) * 4);
    }

    Int4Matrix build(String name, float[] values) {
        return new Int4Matrix(name, n, k, groupSize, ByteBuffer.wrap(packed), ByteBuffer.wrap(scales), rowScale,
                values);
    }
}
