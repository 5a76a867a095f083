package io.fireq.engine.quant;

import io.fireq.engine.tensor.Chunks;
import io.fireq.engine.tensor.E4m3;
import io.fireq.engine.tensor.E4m3Matrix;
import java.nio.ByteBuffer;

/** Rounds a matrix to e4m3 with one float32 scale per row, {@code absmax / 448}. */
final class E4m3RowQuantizer {
    private E4m3RowQuantizer() {}

    /** @param weights {@code [n, k]} row-major */
    static E4m3Matrix quantize(String name, float[] weights, int n, int k) {
        byte[] codes = new byte[n * k];
        float[] rowScale = new float[n];
        Chunks.forEach(n, 64, (begin, end) -> {
            for (int row = begin; row < end; row++) {
                float absmax = 0;
                for (int i = row * k; i < (row + 1) * k; i++) {
                    absmax = Math.max(absmax, Math.abs(weights[i]));
                }
                rowScale[row] = absmax == 0 ? 1 : absmax / E4m3.MAX;
                for (int i = row * k; i < (row + 1) * k; i++) {
                    codes[i] = E4m3.encode(weights[i] / rowScale[row]);
                }
            }
        });
        return new E4m3Matrix(name, n, k, ByteBuffer.wrap(codes), rowScale);
    }
}
