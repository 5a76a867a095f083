package io.fireq.kernels.gemm;

import io.fireq.kernels.cuda.DeviceBuffer;

/**
 * A linear layer's weight {@code [n, k]} on the device in checkpoint order.
 *
 * @param name        for messages
 * @param bits        4 for int4 with group scales, 8 for e4m3
 * @param n           output channels
 * @param k           input channels
 * @param groupSize   columns that share a group scale; a divisor of k
 * @param codes       {@code [n, ceil(k/2)]} bytes, low nibble = even column, or {@code [n, k]} e4m3
 * @param groupScales {@code [n, k/groupSize]} e4m3; null for e4m3 weights
 * @param rowScales   {@code [n]} f32
 * @param values      {@code [16]} f32, the values behind the nibbles 0..15; null for e4m3 weights
 */
public record LinearWeight(String name, int bits, int n, int k, int groupSize, DeviceBuffer codes,
        DeviceBuffer groupScales, DeviceBuffer rowScales, DeviceBuffer values) {

    public LinearWeight {
        if (bits != 4 && bits != 8) {
            throw new IllegalArgumentException("Weight '%s': %d bits, required 4 or 8".formatted(name, bits));
        }
        if (groupSize < 1 || k % groupSize != 0) {
            throw new IllegalArgumentException(
                    "Weight '%s': k=%d is not a multiple of groupSize=%d".formatted(name, k, groupSize));
        }
        codes.require(name, "codes", bits == 4 ? n * ((k + 1L) / 2) : (long) n * k, 1);
        rowScales.require(name, "rowScales [n]", n, 4);
        if (bits == 4) {
            groupScales.require(name, "groupScales [n, k/groupSize]", (long) n * (k / groupSize), 1);
            values.require(name, "values [16]", 16, 4);
        }
    }

    /** An int4 weight. */
    public static LinearWeight int4(String name, int n, int k, int groupSize, DeviceBuffer codes,
            DeviceBuffer groupScales, DeviceBuffer rowScales, DeviceBuffer values) {
        return new LinearWeight(name, 4, n, k, groupSize, codes, groupScales, rowScales, values);
    }

    /** An e4m3 weight. */
    public static LinearWeight e4m3(String name, int n, int k, DeviceBuffer codes, DeviceBuffer rowScales) {
        return new LinearWeight(name, 8, n, k, k, codes, null, rowScales, null);
    }
}
