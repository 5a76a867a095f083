package io.fireq.engine.backend.cuda;

import io.fireq.engine.backend.Backend;
import io.fireq.engine.backend.BackendChecks;
import java.util.Objects;

/** float32 logits {@code [nLogits, vocabSize]} on the device; not to be read once the next step has begun. */
final class CudaLogits implements Backend.Logits {
    private final StepOutputs outputs;
    private final int nLogits;
    private final int nSamples;
    private final int vocabSize;
    boolean stepOver;

    CudaLogits(StepOutputs outputs, int nLogits, int nSamples, int vocabSize) {
        this.outputs = outputs;
        this.nLogits = nLogits;
        this.nSamples = nSamples;
        this.vocabSize = vocabSize;
    }

    @Override
    public void copyRow(int index, float[] target) {
        requireCurrent();
        Objects.checkIndex(index, nLogits);
        if (target.length < vocabSize) {
            throw new IllegalArgumentException(
                    "Logits: the target holds %d values, a row has %d".formatted(target.length, vocabSize));
        }
        outputs.copyLogits(index, vocabSize, target);
    }

    @Override
    public int[] sample() {
        requireCurrent();
        BackendChecks.samplers(nSamples, nLogits);
        return nLogits == 0 ? new int[0] : outputs.readTokens(nLogits);
    }

    private void requireCurrent() {
        if (stepOver) {
            throw new IllegalStateException("Logits: read after the next step began; copy them before");
        }
    }
}
