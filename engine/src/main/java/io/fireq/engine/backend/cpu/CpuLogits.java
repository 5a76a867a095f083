package io.fireq.engine.backend.cpu;

import io.fireq.engine.backend.Backend;
import java.util.Objects;

/** float32 logits {@code [nLogits, vocabSize]}; not to be read once the next step has begun. */
final class CpuLogits implements Backend.Logits {
    private final float[] values;
    private final int nLogits;
    private final int vocabSize;
    boolean stepOver;

    CpuLogits(float[] values, int nLogits, int vocabSize) {
        this.values = values;
        this.nLogits = nLogits;
        this.vocabSize = vocabSize;
    }

    @Override
    public void copyRow(int index, float[] target) {
        if (stepOver) {
            throw new IllegalStateException("Logits: read after the next step began; copy them before");
        }
        Objects.checkIndex(index, nLogits);
        if (target.length < vocabSize) {
            throw new IllegalArgumentException(
                    "Logits: the target holds %d values, a row has %d".formatted(target.length, vocabSize));
        }
        System.arraycopy(values, index * vocabSize, target, 0, vocabSize);
    }
}
