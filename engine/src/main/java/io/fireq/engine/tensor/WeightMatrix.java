package io.fireq.engine.tensor;

/**
 * A weight {@code [n, k]} of a linear layer {@code y[n] = Σ_k w[n,k] · x[k]}, in one of the formats that backends
 * multiply with. {@code get} is the readable definition of every format.
 */
public sealed interface WeightMatrix permits Int4Matrix, E4m3Matrix, FloatMatrix {
    /** The checkpoint's name for it, used in messages. */
    String name();

    /** Output channels (rows). */
    int n();

    /** Input channels (columns, the reduction). */
    int k();

    /** The real value of one weight. */
    float get(int row, int column);

    /** The real values of a row; {@code target} is {@code [k]}. */
    default void copyRow(int row, float[] target) {
        for (int column = 0; column < k(); column++) {
            target[column] = get(row, column);
        }
    }

    /** Bytes that the stored form takes. */
    long byteSize();
}
