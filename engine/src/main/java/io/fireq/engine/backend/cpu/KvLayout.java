package io.fireq.engine.backend.cpu;

/**
 * Where the INT4 codes of one head's vectors in one KV block lie, eight to a word. Attention unpacks neighbouring words
 * with one shift, so K, whose products run over channels, has neighbouring tokens in neighbouring words, and V, whose
 * products run over tokens, neighbouring channels:
 *
 * <pre>{@code
 * K  [channels/8, kvBlockSize]   nibble j of word (w, t) is channel 8w + j of token t
 * V  [kvBlockSize/8, channels]   nibble j of word (o, c) is channel c of token 8o + j
 * }</pre>
 */
enum KvLayout {
    K {
        @Override
        int words(int kvBlockSize, int headDim) {
            return (headDim + 7) / 8 * kvBlockSize;
        }

        @Override
        int word(int kvBlockSize, int headDim, int inBlock, int channel) {
            return channel / 8 * kvBlockSize + inBlock;
        }

        @Override
        int nibble(int inBlock, int channel) {
            return channel % 8;
        }

        @Override
        void unpack(CpuKernels kernels, int[] codes, int offset, int kvBlockSize, int headDim, int inBlock, int n,
                float[] target, int token, int maxTokens) {
            for (int channel = 0; channel < headDim; channel += 8) {
                kernels.unpackCodes(codes, offset + channel / 8 * kvBlockSize + inBlock, n, 0,
                        Math.min(8, headDim - channel), target, channel * maxTokens + token, maxTokens);
            }
        }
    },
    V {
        @Override
        int words(int kvBlockSize, int headDim) {
            return (kvBlockSize + 7) / 8 * headDim;
        }

        @Override
        int word(int kvBlockSize, int headDim, int inBlock, int channel) {
            return inBlock / 8 * headDim + channel;
        }

        @Override
        int nibble(int inBlock, int channel) {
            return inBlock % 8;
        }

        @Override
        void unpack(CpuKernels kernels, int[] codes, int offset, int kvBlockSize, int headDim, int inBlock, int n,
                float[] target, int token, int maxTokens) {
            for (int done = 0; done < n;) {
                int first = (inBlock + done) % 8;
                int nibbles = Math.min(8 - first, n - done);
                kernels.unpackCodes(codes, offset + (inBlock + done) / 8 * headDim, headDim, first, nibbles, target,
                        (token + done) * headDim, headDim);
                done += nibbles;
            }
        }
    };

    /** Words for one head in one KV block. */
    abstract int words(int kvBlockSize, int headDim);

    /** The word of one code, counted from the head's first in the KV block. */
    abstract int word(int kvBlockSize, int headDim, int inBlock, int channel);

    /** The nibble of one code in its word. */
    abstract int nibble(int inBlock, int channel);

    /**
     * Unpacks n tokens of a head from position {@code inBlock} of a KV block on, K as {@code [headDim, maxTokens]}, V as
     * {@code [maxTokens, headDim]}.
     *
     * @param offset the head's first word
     * @param token  where the first of them goes among the maxTokens of the target
     */
    abstract void unpack(CpuKernels kernels, int[] codes, int offset, int kvBlockSize, int headDim, int inBlock, int n,
            float[] target, int token, int maxTokens);
}
