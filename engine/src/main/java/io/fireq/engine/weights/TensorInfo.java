package io.fireq.engine.weights;

import io.fireq.engine.tensor.DType;
import java.util.List;
import java.util.Optional;

/**
 * What a safetensors header says of one tensor.
 *
 * @param name      its name
 * @param dtypeName the header's name of its format, which FireQ may not read
 * @param shape     dimensions, outermost first
 * @param offset    first byte, counted from the start of the file
 * @param byteSize  length in bytes
 */
public record TensorInfo(String name, String dtypeName, List<Integer> shape, long offset, long byteSize) {

    public TensorInfo {
        shape = List.copyOf(shape);
    }

    /** The format, or empty when FireQ does not read it. */
    public Optional<DType> dtype() {
        return DType.ofSafetensorsName(dtypeName);
    }

    /** The first byte after it, counted from the start of the file. */
    public long end() {
        return offset + byteSize;
    }
}
