package io.fireq.engine.quant.imports;

import io.fireq.engine.tensor.F16;
import java.util.Arrays;

/**
 * A weight {@code [n, k]} that was rounded to 4 bits, and the formats that it is stored in. The packing here follows the
 * formats' definitions, one weight at a time, and shares nothing with what it tests.
 *
 * @param codes   {@code [n, k]} 0..15
 * @param zeros   {@code [n, groups]} 0..15
 * @param scales  {@code [n, groups]}, numbers of binary16
 * @param groupOf {@code [k]}
 */
record RoundedLayer(int n, int k, int groups, int[] codes, int[] zeros, float[] scales, int[] groupOf) {

    /** Round to nearest, {@code scale = absmax / 7}, zero point 8. */
    static RoundedLayer symmetric(float[] weights, int n, int k, int groupSize) {
        return round(weights, n, k, groupSize, false);
    }

    /** Round to nearest between minimum and maximum of a group. */
    static RoundedLayer asymmetric(float[] weights, int n, int k, int groupSize) {
        return round(weights, n, k, groupSize, true);
    }

    private static RoundedLayer round(float[] weights, int n, int k, int groupSize, boolean asymmetric) {
        int groups = k / groupSize;
        int[] codes = new int[n * k];
        int[] zeros = new int[n * groups];
        float[] scales = new float[n * groups];
        int[] groupOf = new int[k];
        for (int column = 0; column < k; column++) {
            groupOf[column] = column / groupSize;
        }
        for (int row = 0; row < n; row++) {
            for (int group = 0; group < groups; group++) {
                float min = 0;
                float max = 0;
                for (int column = group * groupSize; column < (group + 1) * groupSize; column++) {
                    min = Math.min(min, weights[row * k + column]);
                    max = Math.max(max, weights[row * k + column]);
                }
                float scale = F16.round(asymmetric ? (max - min) / 15 : Math.max(max, -min) / 7);
                int zero = asymmetric ? clamp(Math.round(-min / scale)) : 8;
                scales[row * groups + group] = scale;
                zeros[row * groups + group] = zero;
                for (int column = group * groupSize; column < (group + 1) * groupSize; column++) {
                    codes[row * k + column] = clamp((int) Math.rint(weights[row * k + column] / scale) + zero);
                }
            }
        }
        return new RoundedLayer(n, k, groups, codes, zeros, scales, groupOf);
    }

    private static int clamp(int code) {
        return Math.max(0, Math.min(15, code));
    }

    /** The same codes with every scale replaced by the power of two below it. */
    RoundedLayer withPowerOfTwoScales() {
        float[] powers = new float[scales.length];
        for (int i = 0; i < scales.length; i++) {
            powers[i] = Float.intBitsToFloat(Float.floatToIntBits(scales[i]) & 0x7f800000);
        }
        return new RoundedLayer(n, k, groups, codes, zeros, powers, groupOf);
    }

    RoundedLayer withGroupOf(int[] newGroupOf) {
        return new RoundedLayer(n, k, groups, codes, zeros, scales, newGroupOf);
    }

    /** The negated weights, with a zero point of 7: steps -7..8 of which both ends occur in every group. */
    RoundedLayer mirrored() {
        int[] mirrored = new int[codes.length];
        for (int i = 0; i < codes.length; i++) {
            mirrored[i] = i % 16 == 3 ? 15 : i % 16 == 5 ? 0 : 15 - codes[i];
        }
        int[] sevens = new int[zeros.length];
        Arrays.fill(sevens, 7);
        return new RoundedLayer(n, k, groups, mirrored, sevens, scales, groupOf);
    }

    RoundedLayer withZero(int index, int zero) {
        int[] changed = zeros.clone();
        changed[index] = zero;
        return new RoundedLayer(n, k, groups, codes, changed, scales, groupOf);
    }

    float[] values() {
        float[] values = new float[n * k];
        for (int i = 0; i < values.length; i++) {
            int at = i / k * groups + groupOf[i % k];
            values[i] = scales[at] * (codes[i] - zeros[at]);
        }
        return values;
    }

    /** @param storedLess what v1 subtracts from a zero point: 1; v2 nothing */
    void addGptq(RawTensors to, String name, int storedLess, boolean withGroupIndex) {
        int[] qweight = new int[k / 8 * n];
        int[] qzeros = new int[groups * n / 8];
        for (int row = 0; row < n; row++) {
            for (int column = 0; column < k; column++) {
                qweight[column / 8 * n + row] |= codes[row * k + column] << 4 * (column % 8);
            }
            for (int group = 0; group < groups; group++) {
                qzeros[group * (n / 8) + row / 8] |= (zeros[row * groups + group] - storedLess & 15) << 4 * (row % 8);
            }
        }
        to.int32(name + ".qweight", qweight, k / 8, n).int32(name + ".qzeros", qzeros, groups, n / 8)
                .f16(name + ".scales", transposedScales(), groups, n);
        if (withGroupIndex) {
            to.int32(name + ".g_idx", groupOf, k);
        }
    }

    void addAwq(RawTensors to, String name) {
        int[] rowOfNibble = {0, 2, 4, 6, 1, 3, 5, 7};
        int[] qweight = new int[k * n / 8];
        int[] qzeros = new int[groups * n / 8];
        for (int word = 0; word < n / 8; word++) {
            for (int nibble = 0; nibble < 8; nibble++) {
                int row = word * 8 + rowOfNibble[nibble];
                for (int column = 0; column < k; column++) {
                    qweight[column * (n / 8) + word] |= codes[row * k + column] << 4 * nibble;
                }
                for (int group = 0; group < groups; group++) {
                    qzeros[group * (n / 8) + word] |= zeros[row * groups + group] << 4 * nibble;
                }
            }
        }
        to.int32(name + ".qweight", qweight, k, n / 8).int32(name + ".qzeros", qzeros, groups, n / 8)
                .f16(name + ".scales", transposedScales(), groups, n);
    }

    /** compressed-tensors pack-quantized; zero points only where there is one besides 8. */
    void addPacked(RawTensors to, String name) {
        int words = (k + 7) / 8;
        int[] packed = new int[n * words];
        int[] zeroPoint = new int[(n + 7) / 8 * groups];
        for (int row = 0; row < n; row++) {
            for (int column = 0; column < k; column++) {
                packed[row * words + column / 8] |= codes[row * k + column] << 4 * (column % 8);
            }
            for (int group = 0; group < groups; group++) {
                zeroPoint[row / 8 * groups + group] |= zeros[row * groups + group] << 4 * (row % 8);
            }
        }
        to.int32(name + ".weight_packed", packed, n, words).int64(name + ".weight_shape", new long[] {n, k}, 2)
                .f16(name + ".weight_scale", scales, n, groups);
        if (Arrays.stream(zeros).anyMatch(zero -> zero != 8)) {
            to.int32(name + ".weight_zero_point", zeroPoint, (n + 7) / 8, groups);
        }
    }

    /** compressed-tensors int-quantized: a byte for each weight. */
    void addInt8(RawTensors to, String name) {
        byte[] signed = new byte[n * k];
        byte[] zeroPoint = new byte[n * groups];
        for (int i = 0; i < signed.length; i++) {
            signed[i] = (byte) (codes[i] - 8);
        }
        for (int i = 0; i < zeroPoint.length; i++) {
            zeroPoint[i] = (byte) (zeros[i] - 8);
        }
        to.int8(name + ".weight", signed, n, k).f16(name + ".weight_scale", scales, n, groups)
                .int8(name + ".weight_zero_point", zeroPoint, n, groups);
    }

    private float[] transposedScales() {
        float[] transposed = new float[scales.length];
        for (int i = 0; i < scales.length; i++) {
            transposed[i % groups * n + i / groups] = scales[i];
        }
        return transposed;
    }
}
