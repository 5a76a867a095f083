package io.fireq.engine.quant.imports;

import io.fireq.engine.tensor.HostTensor;

/** Weights that the source left unquantized; all are finite. */
record FloatWeights(String name, HostTensor tensor) implements SourceWeights {

    /** The tensor {@code X.weight} of a layer. */
    static FloatWeights read(LayerTensors tensors, int n, int k) {
        tensors.floats(".weight", n, k); // refuses what is not finite
        return new FloatWeights(tensors.layerName(), tensors.floatTensor(".weight", n, k));
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
}
