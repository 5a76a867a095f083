package io.fireq.engine.backend.cuda;

import io.fireq.engine.batch.Batch;
import io.fireq.engine.sampling.Sampler;
import java.util.Arrays;

/**
 * Brings decode steps to few different sizes, so that a recorded one fits many. The rows that are added belong to
 * sequences of one token in the KV block that no real sequence owns: kernels need not know of them.
 */
final class DecodePadding {
    /** From here on the launches of a step take less time than its kernels, and recording it gains nothing. */
    private static final int MAX_BUCKET = 256;
    private static final int FINE_STEP = 8;
    private static final int COARSE_STEP = 32;
    private static final int FINE_LIMIT = 64;
    private static final Sampler GREEDY = Sampler.greedy();

    private DecodePadding() {}

    /** Whether every sequence of the step has one token. */
    static boolean isDecode(Batch batch) {
        for (int s = 0; s < batch.nSeqs(); s++) {
            if (batch.cuSeqlens()[s + 1] - batch.cuSeqlens()[s] != 1) {
                return false;
            }
        }
        return batch.nSeqs() > 0;
    }

    /**
     * The number of rows that a step of {@code nSeqs} sequences is padded to: 1, 2, 4, 8, then multiples of 8 to 64 and
     * of 32 to 256; as it is beyond.
     *
     * @param capacity most rows that fit, at least nSeqs
     */
    static int bucket(int nSeqs, int capacity) {
        int bucket;
        if (nSeqs > MAX_BUCKET) {
            bucket = nSeqs;
        } else if (nSeqs <= FINE_STEP) {
            bucket = Integer.highestOneBit(nSeqs) == nSeqs ? nSeqs : 2 * Integer.highestOneBit(nSeqs);
        } else {
            int step = nSeqs <= FINE_LIMIT ? FINE_STEP : COARSE_STEP;
            bucket = (nSeqs + step - 1) / step * step;
        }
        return Math.min(bucket, capacity);
    }

    /** Whether steps of this size are worth recording. */
    static boolean isRecorded(int nSeqs) {
        return nSeqs <= MAX_BUCKET;
    }

    /**
     * A decode step with {@code bucket} rows and as many logits: the first ones are the batch's.
     *
     * @param paddingBlock KV block that no sequence owns
     */
    static Batch pad(Batch batch, int bucket, int paddingBlock, int kvBlockSize) {
        int nSeqs = batch.nSeqs();
        int[] slots = Arrays.copyOf(batch.slotMapping(), bucket);
        int[] cuSeqlens = new int[bucket + 1];
        int[] kvLens = Arrays.copyOf(batch.kvLens(), bucket);
        int[][] blockTables = Arrays.copyOf(batch.blockTables(), bucket);
        for (int s = 0; s < bucket; s++) {
            cuSeqlens[s + 1] = s + 1;
            if (s >= nSeqs) {
                slots[s] = paddingBlock * kvBlockSize;
                kvLens[s] = 1;
                blockTables[s] = new int[] {paddingBlock};
            }
        }
        Sampler[] samplers = batch.samplers();
        if (samplers.length > 0) {
            samplers = Arrays.copyOf(samplers, bucket);
            Arrays.fill(samplers, batch.samplers().length, bucket, GREEDY);
        }
        // Logits beyond the batch's own are those of row 0 once more.
        return new Batch(Arrays.copyOf(batch.tokenIds(), bucket), Arrays.copyOf(batch.positions(), bucket), slots,
                cuSeqlens, kvLens, blockTables, Arrays.copyOf(batch.logitRows(), bucket), samplers);
    }
}
