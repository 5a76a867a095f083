package io.fireq.engine.backend.cpu;

import io.fireq.engine.backend.KvCacheSpec;
import io.fireq.engine.backend.KvFormat;
import io.fireq.engine.tensor.E4m3;
import io.fireq.engine.tensor.F16;
import java.util.Arrays;

/**
 * K, or V, of one layer: per (token, KV head) INT4 codes with a scale and a zero per group of channels, or floats.
 *
 * <pre>{@code
 * codes  [nBlocks, nKvHeads, words of KvLayout]
 * scales [nBlocks, nKvHeads, groups, kvBlockSize]   and zeros alike
 * floats [nBlocks, nKvHeads, kvBlockSize, headDim]
 * }</pre>
 */
final class KvStore {
    private static final float ASYMMETRIC_RANGE = 15.5f;
    private static final float MIN_SYMMETRIC_ABS_MAX = 1e-5f;
    private static final int SYMMETRIC_ZERO = 8;

    private final KvLayout layout;
    private final KvFormat format;
    private final int nKvHeads;
    private final int kvBlockSize;
    private final int headDim;
    private final int groups;
    private final int words;
    private final int[] codes;
    private final float[] scales;
    private final float[] zeros;
    private final float[] floats;

    KvStore(KvCacheSpec spec, KvLayout layout) {
        this.layout = layout;
        format = spec.format();
        nKvHeads = spec.nKvHeads();
        kvBlockSize = spec.kvBlockSize();
        headDim = spec.headDim();
        boolean quantized = format.kind() != KvFormat.Kind.FLOAT32;
        groups = quantized ? headDim / format.groupSize() : 1;
        words = layout.words(kvBlockSize, headDim);
        long heads = Math.multiplyExact((long) spec.nBlocks(), nKvHeads);
        codes = new int[arraySize(spec, quantized ? heads * words : 0)];
        scales = new float[arraySize(spec, quantized ? heads * groups * kvBlockSize : 0)];
        zeros = new float[scales.length];
        floats = new float[arraySize(spec, quantized ? 0 : heads * kvBlockSize * headDim)];
    }

    private static int arraySize(KvCacheSpec spec, long size) {
        if (size > Integer.MAX_VALUE - 8) {
            throw new IllegalArgumentException(("KV cache: one layer of %s needs %,d elements but an array holds %,d; "
                    + "lower kv-cache-tokens").formatted(spec, size, Integer.MAX_VALUE - 8));
        }
        return (int) size;
    }

    /** Groups of channels with a scale of their own; 1 for floats. */
    int groups() {
        return groups;
    }

    /** Stores one head's vector of the token at {@code slot}. Different heads may be written at the same time. */
    void write(int slot, int head, float[] x, int offset) {
        int block = slot / kvBlockSize;
        int inBlock = slot % kvBlockSize;
        int headInBlock = block * nKvHeads + head;
        if (format.kind() == KvFormat.Kind.FLOAT32) {
            System.arraycopy(x, offset, floats, (headInBlock * kvBlockSize + inBlock) * headDim, headDim);
            return;
        }
        for (int group = 0; group < groups; group++) {
            int scaleAt = (headInBlock * groups + group) * kvBlockSize + inBlock;
            int begin = group * format.groupSize();
            if (format.kind() == KvFormat.Kind.ASYMMETRIC) {
                writeAsymmetric(x, offset, begin, headInBlock * words, inBlock, scaleAt);
            } else {
                writeSymmetric(x, offset, begin, headInBlock * words, inBlock, scaleAt);
            }
        }
    }

    private void writeAsymmetric(float[] x, int offset, int begin, int headWords, int inBlock, int scaleAt) {
        float min = 0;
        float max = 0;
        for (int c = begin; c < begin + format.groupSize(); c++) {
            min = Math.min(min, x[offset + c]);
            max = Math.max(max, x[offset + c]);
        }
        float scale = F16.round((max - min) / ASYMMETRIC_RANGE);
        if (scale == 0) {
            scale = 1;
        }
        int zero = clamp((int) Math.rint(7.5f - (max + min) / (2 * scale)));
        for (int c = begin; c < begin + format.groupSize(); c++) {
            putCode(headWords, inBlock, c, clamp((int) Math.rint(x[offset + c] / scale) + zero));
        }
        scales[scaleAt] = scale;
        zeros[scaleAt] = zero;
    }

    private void writeSymmetric(float[] x, int offset, int begin, int headWords, int inBlock, int scaleAt) {
        float absMax = MIN_SYMMETRIC_ABS_MAX;
        for (int c = begin; c < begin + format.groupSize(); c++) {
            absMax = Math.max(absMax, Math.abs(x[offset + c]));
        }
        float scale = Math.max(E4m3.round(absMax / 7), E4m3.MIN_SUBNORMAL);
        for (int c = begin; c < begin + format.groupSize(); c++) {
            putCode(headWords, inBlock, c, clamp((int) Math.rint(x[offset + c] / scale) + SYMMETRIC_ZERO));
        }
        scales[scaleAt] = scale;
        zeros[scaleAt] = SYMMETRIC_ZERO;
    }

    private static int clamp(int code) {
        return Math.max(0, Math.min(15, code));
    }

    private void putCode(int headWords, int inBlock, int channel, int code) {
        int word = headWords + layout.word(kvBlockSize, headDim, inBlock, channel);
        int shift = 4 * layout.nibble(inBlock, channel);
        codes[word] = codes[word] & ~(15 << shift) | code << shift;
    }

    /**
     * Reads n tokens of a KV block for one head, from position {@code inBlock} on: codes, or floats.
     *
     * @param target K as {@code [headDim, maxTokens]}, V as {@code [maxTokens, headDim]}
     * @param token  where the first of them goes among the maxTokens
     */
    void read(CpuKernels kernels, int block, int head, int inBlock, int n, float[] target, int token, int maxTokens) {
        int headInBlock = block * nKvHeads + head;
        if (format.kind() != KvFormat.Kind.FLOAT32) {
            layout.unpack(kernels, codes, headInBlock * words, kvBlockSize, headDim, inBlock, n, target, token,
                    maxTokens);
            return;
        }
        int from = (headInBlock * kvBlockSize + inBlock) * headDim;
        int tokenStride = layout == KvLayout.K ? 1 : headDim;
        int channelStride = layout == KvLayout.K ? maxTokens : 1;
        for (int t = 0; t < n; t++) {
            for (int c = 0; c < headDim; c++) {
                target[(token + t) * tokenStride + c * channelStride] = floats[from + t * headDim + c];
            }
        }
    }

    /** Reads the scales and zeros of one head's first {@code n} tokens of a KV block, for one group. */
    void readScales(int block, int head, int group, int n, float[] scaleTarget, float[] zeroTarget, int targetOffset) {
        if (format.kind() == KvFormat.Kind.FLOAT32) {
            Arrays.fill(scaleTarget, targetOffset, targetOffset + n, 1f);
            Arrays.fill(zeroTarget, targetOffset, targetOffset + n, 0f);
            return;
        }
        int from = ((block * nKvHeads + head) * groups + group) * kvBlockSize;
        System.arraycopy(scales, from, scaleTarget, targetOffset, n);
        System.arraycopy(zeros, from, zeroTarget, targetOffset, n);
    }
}
