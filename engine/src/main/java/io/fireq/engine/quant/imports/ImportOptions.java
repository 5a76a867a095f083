package io.fireq.engine.quant.imports;

import io.fireq.engine.quant.QuantizerOptions.TableFormat;
import java.util.Objects;

/**
 * How a checkpoint is imported.
 *
 * @param fallback  what happens to a layer whose codes cannot be kept
 * @param minSqnrDb signal to noise, in decibels against the source's weights, below which codes count as not kept
 * @param embedding format of the embedding table, bf16 or e4m3; the head is e4m3
 */
public record ImportOptions(Fallback fallback, double minSqnrDb, TableFormat embedding) {
    /** Below what rounding of group scales to e4m3 costs in any usual checkpoint, which is 30 to 33 dB. */
    public static final double DEFAULT_MIN_SQNR_DB = 28;

    /** What to do with a layer whose codes do not fit FireQ's INT4: zero points, permuted groups, no codes at all. */
    public enum Fallback {
        /** Refuse the checkpoint. */
        NONE,
        /** Store the layer's weights as e4m3: twice the memory, little loss. */
        FP8,
        /** Round the layer's weights to INT4 again: the loss of a second quantization. */
        INT4
    }

    /** No fallback, {@value #DEFAULT_MIN_SQNR_DB} dB, embedding e4m3. */
    public static final ImportOptions DEFAULT =
            new ImportOptions(Fallback.NONE, DEFAULT_MIN_SQNR_DB, TableFormat.E4M3);

    public ImportOptions {
        Objects.requireNonNull(fallback, "fallback");
        if (!(minSqnrDb >= 0)) {
            throw new IllegalArgumentException(
                    "Import options: the least signal to noise is %s dB; it must be 0 or more".formatted(minSqnrDb));
        }
        if (embedding == TableFormat.INT4) {
            throw new IllegalArgumentException("Import options: the embedding cannot be int4; choose bf16 or e4m3");
        }
    }
}
