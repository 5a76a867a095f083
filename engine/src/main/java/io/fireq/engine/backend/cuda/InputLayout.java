package io.fireq.engine.backend.cuda;

import io.fireq.engine.api.SamplingParams;
import io.fireq.engine.batch.Batch;
import io.fireq.engine.sampling.Sampler;
import io.fireq.kernels.sampling.SamplingRow;
import java.nio.IntBuffer;
import java.util.Arrays;

/**
 * Where a batch's arrays lie in the one buffer that carries them to the device. All are i32, in this order, each from a
 * multiple of 16 bytes on:
 *
 * <pre>
 * tokenIds [nTokens]  positions [nTokens]  slots [nTokens]  cuSeqlens [nSeqs+1]  kvLens [nSeqs]  logitRows [nLogits]
 * blockTables [nSeqs, tableStride]  samplingRows [nSamples, 12]  penalties [all samplers' penalties, 2]
 * </pre>
 *
 * Steps of equal layout find every array at the same address, and their kernels have the same arguments: the layout is
 * the key of a recorded step.
 *
 * @param nTokens     token rows
 * @param nSeqs       sequences
 * @param nLogits     rows whose logits are wanted
 * @param nSamples    rows of which tokens are drawn: nLogits or 0
 * @param tableStride KV blocks per row of blockTables, a power of two, so that it seldom changes as contexts grow
 */
record InputLayout(int nTokens, int nSeqs, int nLogits, int nSamples, int tableStride) {
    private static final int ALIGNMENT_INTS = 4;
    private static final int MIN_TABLE_STRIDE = 16;

    static InputLayout of(Batch batch) {
        int longest = Arrays.stream(batch.blockTables()).mapToInt(table -> table.length).max().orElse(0);
        int stride = MIN_TABLE_STRIDE;
        while (stride < longest) {
            stride = Math.multiplyExact(stride, 2);
        }
        return new InputLayout(batch.nTokens(), batch.nSeqs(), batch.logitRows().length, batch.samplers().length, stride);
    }

    int tokenIds() {
        return 0;
    }

    int positions() {
        return align(nTokens);
    }

    int slots() {
        return 2 * align(nTokens);
    }

    int cuSeqlens() {
        return 3 * align(nTokens);
    }

    int kvLens() {
        return cuSeqlens() + align(nSeqs + 1);
    }

    int logitRows() {
        return kvLens() + align(nSeqs);
    }

    int blockTables() {
        return logitRows() + align(nLogits);
    }

    int samplingRows() {
        return align(Math.addExact(blockTables(), Math.multiplyExact(nSeqs, tableStride)));
    }

    /** What lies here grows as answers do; all else has its place and size. */
    int penalties() {
        return Math.addExact(samplingRows(), Math.multiplyExact(nSamples, SamplingRow.INTS));
    }

    /** Ints of the whole buffer of a batch of this layout. */
    int size(Batch batch) {
        int size = penalties();
        for (Sampler sampler : batch.samplers()) {
            size = Math.addExact(size, Math.multiplyExact(sampler.nPenalties(), SamplingRow.PENALTY_INTS));
        }
        return size;
    }

    private static int align(int ints) {
        return Math.addExact(ints, ALIGNMENT_INTS - 1) / ALIGNMENT_INTS * ALIGNMENT_INTS;
    }

    /** Writes the arrays of a batch of this layout. */
    void write(Batch batch, IntBuffer target) {
        target.put(tokenIds(), batch.tokenIds());
        target.put(positions(), batch.positions());
        target.put(slots(), batch.slotMapping());
        target.put(cuSeqlens(), batch.cuSeqlens());
        target.put(kvLens(), batch.kvLens());
        target.put(logitRows(), batch.logitRows());
        for (int s = 0; s < nSeqs; s++) {
            target.put(blockTables() + s * tableStride, batch.blockTables()[s]);
        }
        int nPenalties = 0;
        for (int i = 0; i < nSamples; i++) {
            Sampler sampler = batch.samplers()[i];
            row(sampler, nPenalties).write(target, samplingRows() + i * SamplingRow.INTS);
            if (sampler.nPenalties() > 0) {
                target.put(penalties() + nPenalties * SamplingRow.PENALTY_INTS, sampler.penalties(), 0,
                        sampler.nPenalties() * SamplingRow.PENALTY_INTS);
                nPenalties += sampler.nPenalties();
            }
        }
    }

    private static SamplingRow row(Sampler sampler, int firstPenalty) {
        SamplingParams params = sampler.params();
        return new SamplingRow(sampler.seed(), sampler.index(), params.temperature(), params.topK(), params.topP(),
                params.minP(), params.repetitionPenalty(), params.presencePenalty(), params.frequencyPenalty(),
                firstPenalty, sampler.nPenalties());
    }
}
