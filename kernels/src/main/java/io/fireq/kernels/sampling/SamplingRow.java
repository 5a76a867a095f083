package io.fireq.kernels.sampling;

import java.nio.IntBuffer;

/**
 * How the token of one row is chosen, as {@link SampleRows} reads it. Zeros stand for the most likely token.
 *
 * @param seed              with {@code index}, determines the random bits
 * @param index             position in the answer
 * @param temperature       logits are divided by it; 0: the most likely token
 * @param topK              tokens to keep; 0 keeps all, 1 the most likely one
 * @param topP              share of the weight to keep; 1 keeps all
 * @param minP              least weight to keep, relative to the largest; 0 keeps all
 * @param repetitionPenalty divides positive and multiplies negative logits of penalized tokens
 * @param presencePenalty   subtracted from the logits of penalized tokens that the answer holds
 * @param frequencyPenalty  subtracted from them once for each time
 * @param firstPenalty      the row's first entry in the list of penalties
 * @param nPenalties        its number of entries, all of different tokens
 */
public record SamplingRow(long seed, int index, float temperature, int topK, float topP, float minP,
        float repetitionPenalty, float presencePenalty, float frequencyPenalty, int firstPenalty, int nPenalties) {
    /** Ints of one row: the seed's low and high half, then the others in the order of this record. */
    public static final int INTS = 12;

    /** Ints of one penalty: the token, then how often the answer holds it; 0 where only the prompt does. */
    public static final int PENALTY_INTS = 2;

    /** Writes the row from {@code at} on. */
    public void write(IntBuffer target, int at) {
        target.put(at, (int) seed).put(at + 1, (int) (seed >>> 32)).put(at + 2, index)
                .put(at + 3, Float.floatToRawIntBits(temperature))
                .put(at + 4, topK)
                .put(at + 5, Float.floatToRawIntBits(topP))
                .put(at + 6, Float.floatToRawIntBits(minP))
                .put(at + 7, Float.floatToRawIntBits(repetitionPenalty))
                .put(at + 8, Float.floatToRawIntBits(presencePenalty))
                .put(at + 9, Float.floatToRawIntBits(frequencyPenalty))
                .put(at + 10, firstPenalty).put(at + 11, nPenalties);
    }
}
