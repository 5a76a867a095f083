package io.fireq.engine.quant;

import io.fireq.engine.tensor.Int4Matrix;

/** Turns the weight of a linear layer into INT4 codes and scales. Stateless; any thread. */
interface WeightQuantizer {

    /**
     * @param name      the layer's name, kept by the result
     * @param weights   {@code [n, k]} row-major
     * @param groupSize columns that share a scale; a divisor of k
     */
    Int4Matrix quantize(String name, float[] weights, int n, int k, int groupSize);
}
