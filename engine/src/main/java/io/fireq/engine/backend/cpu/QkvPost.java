package io.fireq.engine.backend.cpu;

import io.fireq.engine.backend.AttentionSpec;
import io.fireq.engine.batch.Batch;

/**
 * What lies between the qkv layer and attention: rotation, K smoothing, the Hadamard transform, Q quantization, appending
 * K and V.
 */
final class QkvPost {
    private final Rounding rounding;

    QkvPost(Rounding rounding) {
        this.rounding = rounding;
    }

    /**
     * Works on all tokens of the KV heads kvHeadBegin..kvHeadEnd-1 and of the query heads that share them.
     *
     * @param head a buffer of headDim floats
     */
    void run(Batch batch, int kvHeadBegin, int kvHeadEnd, CpuRows qkv, AttentionSpec spec, CpuKvCache cache,
            CpuQuantizedRows query, float[] head) {
        int headDim = spec.headDim();
        int groupHeads = spec.nHeads() / spec.nKvHeads();
        for (int token = 0; token < batch.nTokens(); token++) {
            int position = batch.positions()[token];
            int slot = batch.slotMapping()[token];
            int row = token * qkv.width();
            for (int kvHead = kvHeadBegin; kvHead < kvHeadEnd; kvHead++) {
                for (int h = kvHead * groupHeads; h < (kvHead + 1) * groupHeads; h++) {
                    rotate(qkv.values(), row + h * headDim, spec, position, head);
                    if (spec.kSmooth() != null) {
                        for (int c = 0; c < headDim; c++) {
                            head[c] /= spec.kSmooth()[kvHead * headDim + c];
                        }
                    }
                    mix(head, spec);
                    query.scales()[token * query.groups() + h] = rounding.quantizeRow(head, 0, headDim, query.values(),
                            token * query.width() + h * headDim);
                }
                key(qkv, token, position, spec, kvHead, head);
                cache.k()[spec.layer()].write(slot, kvHead, head, 0);
                cache.v()[spec.layer()].write(slot, kvHead, qkv.values(),
                        row + (spec.nHeads() + spec.nKvHeads() + kvHead) * headDim);
            }
        }
    }

    /** K of one head, rotated, smoothed and mixed, as the cache takes and rounds it. */
    static void key(CpuRows qkv, int token, int position, AttentionSpec spec, int kvHead, float[] head) {
        int headDim = spec.headDim();
        rotate(qkv.values(), token * qkv.width() + (spec.nHeads() + kvHead) * headDim, spec, position, head);
        if (spec.kSmooth() != null) {
            for (int c = 0; c < headDim; c++) {
                head[c] *= spec.kSmooth()[kvHead * headDim + c];
            }
        }
        mix(head, spec);
    }

    private static void mix(float[] head, AttentionSpec spec) {
        if (spec.hadamardBlock() > 0) {
            BlockHadamard.apply(head, spec.headDim(), spec.hadamardBlock());
        }
    }

    private static void rotate(float[] x, int offset, AttentionSpec spec, int position, float[] out) {
        int half = spec.headDim() / 2;
        for (int i = 0; i < half; i++) {
            float cos = spec.cos()[position * half + i];
            float sin = spec.sin()[position * half + i];
            float a = x[offset + i];
            float b = x[offset + half + i];
            out[i] = a * cos - b * sin;
            out[half + i] = b * cos + a * sin;
        }
    }
}
