package io.fireq.engine.backend.cpu;

/**
 * The orthonormal Walsh-Hadamard transform of neighbouring channels. It leaves q·k as it is and spreads a large channel
 * of K over its block, so that the channels of an INT4 group are alike.
 *
 * <pre>{@code
 * block 4:  a b c d  →  a+b a−b c+d c−d  →  (a+b)+(c+d) (a−b)+(c−d) (a+b)−(c+d) (a−b)−(c−d)  →  · 1/√4
 * }</pre>
 */
final class BlockHadamard {
    private BlockHadamard() {}

    /**
     * Transforms {@code x} in place, in float32: butterflies of distance 1, 2, 4, … within each block, then one
     * multiplication by 1/√block.
     *
     * @param count values of {@code x}, a multiple of {@code block}
     * @param block a power of two
     */
    static void apply(float[] x, int count, int block) {
        for (int distance = 1; distance < block; distance *= 2) {
            for (int pair = 0; pair < count; pair += 2 * distance) {
                for (int i = pair; i < pair + distance; i++) {
                    float a = x[i];
                    float b = x[i + distance];
                    x[i] = a + b;
                    x[i + distance] = a - b;
                }
            }
        }
        float factor = (float) (1 / Math.sqrt(block));
        for (int i = 0; i < count; i++) {
            x[i] *= factor;
        }
    }
}
