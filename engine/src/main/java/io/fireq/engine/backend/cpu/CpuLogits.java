package io.fireq.engine.backend.cpu;

import io.fireq.engine.backend.Backend;
import io.fireq.engine.backend.BackendChecks;
import io.fireq.engine.sampling.Sampler;
import java.util.Objects;

/** float32 logits {@code [nLogits, vocabSize]}; not to be read once the next step has begun. */
final class CpuLogits implements Backend.Logits {
    private final float[] values;
    private final int nLogits;
    private final int vocabSize;
    private final Sampler[] samplers;
    private final CpuWorkers workers;
    private final WorkerScratch[] scratch;
    boolean stepOver;

    CpuLogits(float[] values, int nLogits, int vocabSize, Sampler[] samplers, CpuWorkers workers,
            WorkerScratch[] scratch) {
        this.values = values;
        this.nLogits = nLogits;
        this.vocabSize = vocabSize;
        this.samplers = samplers;
        this.workers = workers;
        this.scratch = scratch;
    }

    @Override
    public void copyRow(int index, float[] target) {
        requireCurrent();
        Objects.checkIndex(index, nLogits);
        if (target.length < vocabSize) {
            throw new IllegalArgumentException(
                    "Logits: the target holds %d values, a row has %d".formatted(target.length, vocabSize));
        }
        System.arraycopy(values, index * vocabSize, target, 0, vocabSize);
    }

    @Override
    public int[] sample() {
        requireCurrent();
        BackendChecks.samplers(samplers.length, nLogits);
        int[] tokens = new int[nLogits];
        workers.parallelFor(nLogits, 1, (worker, begin, end) -> {
            float[] row = scratch[worker].logits(vocabSize);
            for (int i = begin; i < end; i++) {
                System.arraycopy(values, i * vocabSize, row, 0, vocabSize);
                tokens[i] = samplers[i].sample(row);
            }
        });
        return tokens;
    }

    private void requireCurrent() {
        if (stepOver) {
            throw new IllegalStateException("Logits: read after the next step began; copy them before");
        }
    }
}
