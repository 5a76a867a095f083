package io.fireq.engine.tensor;

/**
 * Unquantized weights, F32, F16 or BF16.
 *
 * @param tensor {@code [n, k]}
 */
public record FloatMatrix(HostTensor tensor) implements WeightMatrix {

    public FloatMatrix {
        if (tensor.shape().size() != 2) {
            throw new IllegalArgumentException("Tensor " + tensor + ": a weight matrix has two dimensions");
        }
    }

    @Override
    public String name() {
        return tensor.name();
    }

    @Override
    public int n() {
        return tensor.shape().get(0);
    }

    @Override
    public int k() {
        return tensor.shape().get(1);
    }

    @Override
    public float get(int row, int column) {
        return tensor.get(row * k() + column);
    }

    @Override
    public long byteSize() {
        return tensor.data().capacity();
    }
}
