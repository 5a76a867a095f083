package io.fireq.engine.backend.cuda;

import io.fireq.engine.backend.Backend;
import java.util.Objects;
import java.util.OptionalInt;

/** float32 logits {@code [nLogits, vocabSize]} on the device; not to be read once the next step has begun. */
final class CudaLogits implements Backend.Logits {
    private final StepOutputs outputs;
    private final int nLogits;
    private final int vocabSize;
    private int[] mostLikely;
    boolean stepOver;

    CudaLogits(StepOutputs outputs, int nLogits, int vocabSize) {
        this.outputs = outputs;
        this.nLogits = nLogits;
        this.vocabSize = vocabSize;
    }

    @Override
    public void copyRow(int index, float[] target) {
        requireCurrent(index);
        if (target.length < vocabSize) {
            throw new IllegalArgumentException(
                    "Logits: the target holds %d values, a row has %d".formatted(target.length, vocabSize));
        }
        outputs.copyLogits(index, vocabSize, target);
    }

    @Override
    public OptionalInt mostLikely(int index) {
        requireCurrent(index);
        if (mostLikely == null) {
            mostLikely = outputs.readMostLikely(nLogits);
        }
        return mostLikely[index] < 0 ? OptionalInt.empty() : OptionalInt.of(mostLikely[index]);
    }

    private void requireCurrent(int index) {
        if (stepOver) {
            throw new IllegalStateException("Logits: read after the next step began; copy them before");
        }
        Objects.checkIndex(index, nLogits);
    }
}
