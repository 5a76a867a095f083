package io.fireq.engine.tensor;

import java.util.Arrays;
import java.util.Optional;

/** Storage formats of tensors, with the names that safetensors files use for them. */
public enum DType {
    F32("F32", 4),
    F16("F16", 2),
    BF16("BF16", 2),
    /** 8-bit float, 4 exponent and 3 mantissa bits, no infinities, largest value 448 ({@link E4m3}). */
    E4M3("F8_E4M3", 1),
    /** Raw bytes; two int4 codes per byte where a tensor is packed. */
    U8("U8", 1);

    private final String safetensorsName;
    private final int bytes;

    DType(String safetensorsName, int bytes) {
        this.safetensorsName = safetensorsName;
        this.bytes = bytes;
    }

    /** The name in a safetensors header. */
    public String safetensorsName() {
        return safetensorsName;
    }

    /** Size of one element in bytes. */
    public int bytes() {
        return bytes;
    }

    /** The format with this safetensors name, or empty when FireQ does not read it. */
    public static Optional<DType> ofSafetensorsName(String name) {
        return Arrays.stream(values()).filter(d -> d.safetensorsName.equals(name)).findFirst();
    }
}
