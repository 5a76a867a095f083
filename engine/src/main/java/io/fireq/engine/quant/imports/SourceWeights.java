package io.fireq.engine.quant.imports;

import java.util.stream.IntStream;

/** The weights {@code [n, k]} of a layer as the source stands for them. */
interface SourceWeights {
    String name();

    int n();

    int k();

    /** The real value of one weight. */
    float get(int row, int column);

    /** All of them, row-major. */
    default float[] toFloats() {
        int k = k();
        float[] values = new float[Math.multiplyExact(n(), k)];
        IntStream.range(0, n()).parallel().forEach(row -> {
            for (int column = 0; column < k; column++) {
                values[row * k + column] = get(row, column);
            }
        });
        return values;
    }
}
