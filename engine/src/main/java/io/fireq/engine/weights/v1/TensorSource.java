package io.fireq.engine.weights.v1;

import io.fireq.engine.api.ModelFormatException;
import io.fireq.engine.tensor.HostTensor;

/** Where a layer's tensors are read from. */
public interface TensorSource {

    boolean has(String name);

    /** The tensor of this name; {@link ModelFormatException} when there is none. */
    HostTensor tensor(String name);

    /** An exception that blames the file which holds the tensor. */
    ModelFormatException malformed(String name, String problem);
}
