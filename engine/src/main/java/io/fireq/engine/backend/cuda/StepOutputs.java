package io.fireq.engine.backend.cuda;

import io.fireq.kernels.cuda.CudaContext;
import io.fireq.kernels.cuda.CudaStream;
import io.fireq.kernels.cuda.DeviceBuffer;
import io.fireq.kernels.cuda.PinnedBuffer;

/** What a step computes at its end, and the way of it to the host. */
final class StepOutputs implements AutoCloseable {
    private final CudaContext context;
    private final CudaStream stream;
    private final ScratchBuffer codes;
    private final ScratchBuffer scales;
    private final ScratchBuffer logits;
    private final ScratchBuffer tokens;
    private PinnedBuffer pinned;

    StepOutputs(CudaContext context, CudaStream stream, DeviceMemory memory, Runnable moving) {
        this.context = context;
        this.stream = stream;
        codes = new ScratchBuffer(memory, stream, "head input codes", moving);
        scales = new ScratchBuffer(memory, stream, "head input scales", moving);
        logits = new ScratchBuffer(memory, stream, "logits", moving);
        tokens = new ScratchBuffer(memory, stream, "tokens", moving);
    }

    /** Makes room for {@code nLogits} rows; called before kernels are queued, for it may allocate. */
    void prepare(int nLogits, int hiddenSize, int vocabSize) {
        codes.atLeast((long) nLogits * hiddenSize);
        scales.atLeast((long) nLogits * Float.BYTES);
        logits.atLeast((long) nLogits * vocabSize * Float.BYTES);
        tokens.atLeast((long) nLogits * Integer.BYTES);
        int byteSize = Math.max(vocabSize * Float.BYTES, nLogits * Integer.BYTES);
        if (pinned == null || pinned.byteSize() < byteSize) {
            if (pinned != null) {
                pinned.close();
                pinned = null;
            }
            pinned = context.allocatePinned("step outputs", byteSize);
        }
    }

    /** {@code [nLogits, hiddenSize]} e4m3. */
    DeviceBuffer codes() {
        return codes.get();
    }

    /** {@code [nLogits]} f32. */
    DeviceBuffer scales() {
        return scales.get();
    }

    /** {@code [nLogits, vocabSize]} f32. */
    DeviceBuffer logits() {
        return logits.get();
    }

    /** {@code [nLogits]} i32, -1 where there is none. */
    DeviceBuffer tokens() {
        return tokens.get();
    }

    /** Waits for the step and copies one row of logits; a kernel's fault surfaces here. */
    void copyLogits(int row, int vocabSize, float[] target) {
        int byteSize = vocabSize * Float.BYTES;
        logits.get().downloadAsync(stream, (long) row * byteSize, pinned, byteSize);
        stream.synchronize();
        pinned.bytes().asFloatBuffer().get(target, 0, vocabSize);
    }

    /** Waits for the step and returns the token of each row, or -1; a kernel's fault surfaces here. */
    int[] readTokens(int nLogits) {
        tokens.get().downloadAsync(stream, 0, pinned, nLogits * Integer.BYTES);
        stream.synchronize();
        int[] ids = new int[nLogits];
        pinned.bytes().asIntBuffer().get(ids);
        return ids;
    }

    @Override
    public void close() {
        if (pinned != null) {
            pinned.close();
        }
    }
}
