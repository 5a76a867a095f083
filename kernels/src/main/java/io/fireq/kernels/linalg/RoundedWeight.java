package io.fireq.kernels.linalg;

import io.fireq.kernels.cuda.DeviceBuffer;

/**
 * A weight {@code [n, k]} on its way to INT4, {@code w ≈ rowScale · rounded}, {@code rounded = e4m3(level · σ)}.
 *
 * @param weights   {@code [n, k]} f32, contiguous
 * @param groupSize columns that share σ; a divisor of k
 * @param rowScales {@code [n]} f32
 * @param scales    {@code [n, k/groupSize]} e4m3, σ
 * @param rounded   {@code [n, k]} f32
 * @param codes     {@code [n, k]} bytes 0..15
 * @param levels    {@code [16]} f32, what the codes stand for, ascending
 * @param codeOf    {@code [16]} i32, the code of each level
 */
public record RoundedWeight(DeviceMatrix weights, int groupSize, DeviceBuffer rowScales, DeviceBuffer scales,
        DeviceMatrix rounded, DeviceBuffer codes, DeviceBuffer levels, DeviceBuffer codeOf) {
    private static final String NAME = "RoundedWeight";
    private static final int CODES = 16;

    public RoundedWeight {
        int n = weights.rows();
        int k = weights.columns();
        if (groupSize < 1 || k % groupSize != 0) {
            throw new IllegalArgumentException("%s: k=%d is not a multiple of groupSize=%d".formatted(NAME, k, groupSize));
        }
        if (!weights.isContiguous() || !rounded.isContiguous() || rounded.rows() != n || rounded.columns() != k) {
            throw new IllegalArgumentException("%s: rounded is [%d, %d], required [%d, %d], contiguous like the weights"
                    .formatted(NAME, rounded.rows(), rounded.columns(), n, k));
        }
        rowScales.require(NAME, "rowScales [n]", n, Float.BYTES);
        scales.require(NAME, "scales [n, k/groupSize]", (long) n * (k / groupSize), 1);
        codes.require(NAME, "codes [n, k]", (long) n * k, 1);
        levels.require(NAME, "levels [16]", CODES, Float.BYTES);
        codeOf.require(NAME, "codeOf [16]", CODES, Integer.BYTES);
    }

    int n() {
        return weights.rows();
    }

    int k() {
        return weights.columns();
    }
}
