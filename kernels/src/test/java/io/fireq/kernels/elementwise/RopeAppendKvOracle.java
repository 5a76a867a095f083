package io.fireq.kernels.elementwise;

import io.fireq.kernels.attention.PagedKvLayout;
import io.fireq.kernels.testing.Formats;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/** Rotary embedding, smoothing and the cache formats, by the definition in float32: exact in every rounding. */
final class RopeAppendKvOracle {
    private final int nHeads;
    private final PagedKvLayout layout;
    private final boolean symmetric;
    private final int hadamardBlock;

    RopeAppendKvOracle(int nHeads, PagedKvLayout layout, boolean symmetric, int hadamardBlock) {
        this.nHeads = nHeads;
        this.layout = layout;
        this.symmetric = symmetric;
        this.hadamardBlock = hadamardBlock;
    }

    /** One head rotated and smoothed; {@code cos} and {@code sin} are the position's rows. */
    static float[] rotate(float[] x, float[] cos, float[] sin) {
        int half = x.length / 2;
        float[] y = new float[x.length];
        for (int i = 0; i < half; i++) {
            y[i] = x[i] * cos[i] - x[i + half] * sin[i];
            y[i + half] = x[i + half] * cos[i] + x[i] * sin[i];
        }
        return y;
    }

    /** Turns blocks of {@code block} channels by the orthonormal Hadamard matrix, in the order that the kernel does. */
    static void hadamard(float[] x, int block) {
        for (int distance = 1; distance < block; distance *= 2) {
            for (int i = 0; i < x.length; i++) {
                if ((i & distance) == 0) {
                    float lower = x[i];
                    float upper = x[i + distance];
                    x[i] = lower + upper;
                    x[i + distance] = lower - upper;
                }
            }
        }
        for (int i = 0; block > 0 && i < x.length; i++) {
            x[i] *= (float) (1 / Math.sqrt(block));
        }
    }

    /** Stores one head's vector at {@code row}. */
    void append(float[] x, long row, byte[] codes, byte[] params) {
        int size = layout.groupSize();
        ByteBuffer target = ByteBuffer.wrap(params).order(ByteOrder.LITTLE_ENDIAN);
        for (int g = 0; g < layout.groups(); g++) {
            float min = 0;
            float max = 0;
            for (int c = g * size; c < (g + 1) * size; c++) {
                min = Math.min(min, x[c]);
                max = Math.max(max, x[c]);
            }
            float scale;
            float zero;
            if (symmetric) {
                float absmax = Math.max(Math.max(Math.abs(min), Math.abs(max)), 1e-5f);
                scale = Math.max(Formats.fromE4m3(Formats.e4m3(absmax / 7f)), 0x1p-9f);
                zero = 8;
            } else {
                scale = Formats.fromF16(Formats.f16((max - min) / 15.5f));
                scale = scale == 0 ? 1 : scale;
                zero = (float) Math.max(0, Math.min(15, Math.rint(7.5f - (max + min) / (2 * scale))));
            }
            int param = Math.toIntExact((row * layout.groups() + g) * 4);
            target.putShort(param, Formats.f16(scale)).putShort(param + 2, Formats.f16(zero));
            for (int c = g * size; c < (g + 1) * size; c++) {
                int code = (int) Math.max(0, Math.min(15, Math.rint(x[c] / scale) + zero));
                int index = Math.toIntExact(row * layout.rowBytes() + c / 2);
                codes[index] = (byte) (c % 2 == 0 ? code : codes[index] | code << 4);
            }
        }
    }

    /** What the kernel writes. */
    record Result(byte[] query, float[] queryScale, byte[] kCodes, byte[] kParams, byte[] vCodes, byte[] vParams) {}

    /** All tokens; the cache arrays start as the pattern that fills unwritten device memory. */
    Result run(float[] qkv, int[] positions, int[] slots, float[] cos, float[] sin, float[] kSmooth, byte pattern) {
        int nTokens = positions.length;
        int headDim = layout.headDim();
        int nKvHeads = layout.nKvHeads();
        byte[] query = new byte[nTokens * nHeads * headDim];
        float[] queryScale = new float[nTokens * nHeads];
        byte[] kCodes = filled(layout.codeBytes(), pattern);
        byte[] vCodes = filled(layout.codeBytes(), pattern);
        byte[] kParams = filled(layout.paramBytes(), pattern);
        byte[] vParams = filled(layout.paramBytes(), pattern);
        for (int t = 0; t < nTokens; t++) {
            float[] c = row(cos, positions[t], headDim / 2);
            float[] s = row(sin, positions[t], headDim / 2);
            for (int h = 0; h < nHeads + 2 * nKvHeads; h++) {
                float[] x = row(qkv, t * (nHeads + 2 * nKvHeads) + h, headDim);
                if (h < nHeads) {
                    float[] q = rotate(x, c, s);
                    smooth(q, kSmooth, h / (nHeads / nKvHeads), true);
                    hadamard(q, hadamardBlock);
                    QuantizeRowsOracle.Result row = QuantizeRowsOracle.quantize(q, headDim);
                    System.arraycopy(row.codes(), 0, query, (t * nHeads + h) * headDim, headDim);
                    queryScale[t * nHeads + h] = row.scales()[0];
                } else if (h < nHeads + nKvHeads) {
                    float[] k = rotate(x, c, s);
                    smooth(k, kSmooth, h - nHeads, false);
                    hadamard(k, hadamardBlock);
                    append(k, layout.row(slots[t], h - nHeads), kCodes, kParams);
                } else {
                    append(x, layout.row(slots[t], h - nHeads - nKvHeads), vCodes, vParams);
                }
            }
        }
        return new Result(query, queryScale, kCodes, kParams, vCodes, vParams);
    }

    private static void smooth(float[] x, float[] kSmooth, int kvHead, boolean divide) {
        for (int c = 0; kSmooth != null && c < x.length; c++) {
            float s = kSmooth[kvHead * x.length + c];
            x[c] = divide ? x[c] / s : x[c] * s;
        }
    }

    private static float[] row(float[] matrix, int row, int width) {
        return java.util.Arrays.copyOfRange(matrix, row * width, (row + 1) * width);
    }

    private static byte[] filled(long size, byte pattern) {
        byte[] bytes = new byte[Math.toIntExact(size)];
        java.util.Arrays.fill(bytes, pattern);
        return bytes;
    }
}
