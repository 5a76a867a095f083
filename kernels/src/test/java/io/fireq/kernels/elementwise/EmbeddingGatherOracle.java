package io.fireq.kernels.elementwise;

import io.fireq.kernels.testing.Formats;

/** Rows of a table, by the definition. */
final class EmbeddingGatherOracle {
    private EmbeddingGatherOracle() {}

    static short[] bf16(int[] tokenIds, short[] table, int width) {
        short[] out = new short[tokenIds.length * width];
        for (int t = 0; t < tokenIds.length; t++) {
            System.arraycopy(table, tokenIds[t] * width, out, t * width, width);
        }
        return out;
    }

    static short[] e4m3(int[] tokenIds, byte[] table, float[] rowScale, int width) {
        short[] out = new short[tokenIds.length * width];
        for (int t = 0; t < tokenIds.length; t++) {
            for (int i = 0; i < width; i++) {
                float value = rowScale[tokenIds[t]] * Formats.fromE4m3(table[tokenIds[t] * width + i]);
                out[t * width + i] = Formats.bf16(value);
            }
        }
        return out;
    }

    static short[] int4(int[] tokenIds, byte[] codes, byte[] groupScales, float[] rowScale, float[] values,
            int width, int groupSize) {
        short[] out = new short[tokenIds.length * width];
        for (int t = 0; t < tokenIds.length; t++) {
            int id = tokenIds[t];
            for (int i = 0; i < width; i++) {
                int pair = codes[id * ((width + 1) / 2) + i / 2];
                int nibble = pair >> i % 2 * 4 & 15;
                float scale = Formats.fromE4m3(groupScales[id * (width / groupSize) + i / groupSize]);
                float stored = Formats.fromE4m3(Formats.e4m3(values[nibble] * scale));
                out[t * width + i] = Formats.bf16(rowScale[id] * stored);
            }
        }
        return out;
    }
}
