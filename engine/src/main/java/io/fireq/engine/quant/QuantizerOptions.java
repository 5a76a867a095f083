package io.fireq.engine.quant;

import java.util.Objects;

/**
 * How a model is quantized.
 *
 * @param profile   the method for the linear layers
 * @param groupSize columns that share a scale, where k is a multiple of it; else the largest of 64, 32 and 16 that
 *                  divides k, else the whole row
 * @param embedding format of the embedding table
 * @param head      format of the output head; {@link TableFormat#E4M3} for both shares one table in a tied model
 */
public record QuantizerOptions(Profile profile, int groupSize, TableFormat embedding, TableFormat head) {

    /** Formats of embedding and head. */
    public enum TableFormat {
        BF16,
        E4M3,
        INT4
    }

    /** Profile {@code best}, group size 128, embedding and head e4m3. */
    public static final QuantizerOptions DEFAULT =
            new QuantizerOptions(Profile.BEST, 128, TableFormat.E4M3, TableFormat.E4M3);

    public QuantizerOptions {
        Objects.requireNonNull(profile, "profile");
        if (groupSize < 2 || groupSize % 2 != 0) {
            throw new IllegalArgumentException(
                    "Quantizer options: group size is %d; it must be even and 2 or more".formatted(groupSize));
        }
        if (head == TableFormat.BF16) {
            throw new IllegalArgumentException(
                    "Quantizer options: the head cannot be bf16, it would dominate decoding; choose e4m3 or int4");
        }
        if (embedding == TableFormat.INT4) {
            throw new IllegalArgumentException("Quantizer options: the embedding cannot be int4; choose bf16 or e4m3");
        }
    }

    int groupSizeFor(int k) {
        for (int candidate : new int[] {groupSize, 64, 32, 16}) {
            if (candidate <= groupSize && k % candidate == 0) {
                return candidate;
            }
        }
        return k;
    }
}
