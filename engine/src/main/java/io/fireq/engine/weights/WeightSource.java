package io.fireq.engine.weights;

import io.fireq.engine.tensor.HostTensor;
import io.fireq.engine.tensor.WeightMatrix;

/** Where a model's tensors come from: a checkpoint, or a generator of random ones for benchmarks. */
public interface WeightSource {

    /** Whether there is a weight for this layer, in any format. */
    boolean hasLinear(String layerName);

    /**
     * The weight {@code [n, k]} of a linear layer or embedding, for example {@code model.layers.0.self_attn.q_proj}.
     *
     * @throws io.fireq.engine.api.ModelFormatException if it is missing or has another shape
     */
    WeightMatrix linear(String layerName, int n, int k);

    /** Whether there is a tensor of this full name. */
    boolean has(String tensorName);

    /**
     * A tensor by its full name, for example {@code model.norm.weight}.
     *
     * @throws io.fireq.engine.api.ModelFormatException if it is missing or has another shape
     */
    HostTensor tensor(String tensorName, int... shape);
}
