package io.fireq.engine.backend.cuda;

import io.fireq.engine.batch.Batch;
import io.fireq.kernels.cuda.CudaContext;
import io.fireq.kernels.cuda.CudaEvent;
import io.fireq.kernels.cuda.CudaStream;
import io.fireq.kernels.cuda.DeviceBuffer;
import io.fireq.kernels.cuda.PinnedBuffer;

/** The batch of the current step on the device: one copy from one pinned buffer. */
final class StepInputs implements AutoCloseable {
    private final CudaContext context;
    private final CudaStream stream;
    private final ScratchBuffer device;
    private final CudaEvent copied;
    private PinnedBuffer pinned;
    private InputLayout layout;
    private int[] hostCuSeqlens;
    private int[] hostKvLens;
    private long step;

    StepInputs(CudaContext context, CudaStream stream, DeviceMemory memory, Runnable moving) {
        this.context = context;
        this.stream = stream;
        device = new ScratchBuffer(memory, stream, "step inputs", moving);
        copied = context.newEvent();
    }

    /** Queues the copy; the batch may be changed on return. */
    void upload(Batch batch) {
        InputLayout next = InputLayout.of(batch);
        int byteSize = Math.multiplyExact(next.size(batch), Integer.BYTES);
        if (pinned != null) {
            copied.synchronize();
        }
        if (pinned == null || pinned.byteSize() < byteSize) {
            if (pinned != null) {
                pinned.close();
                pinned = null;
            }
            // Twice what is needed: lists of penalties grow with every step.
            pinned = context.allocatePinned("step inputs", Math.max(Math.multiplyExact(byteSize, 2), 1 << 16));
        }
        next.write(batch, pinned.bytes().asIntBuffer());
        device.atLeast(pinned.byteSize()).uploadAsync(stream, 0, pinned, byteSize);
        copied.record(stream);
        layout = next;
        hostCuSeqlens = batch.cuSeqlens().clone();
        hostKvLens = batch.kvLens().clone();
        step++;
    }

    /** Counts the steps. */
    long step() {
        return step;
    }

    /** {@code [nSeqs + 1]}. */
    int[] hostCuSeqlens() {
        return hostCuSeqlens;
    }

    /** {@code [nSeqs]}. */
    int[] hostKvLens() {
        return hostKvLens;
    }

    InputLayout layout() {
        return layout;
    }

    /** {@code [nTokens]} i32. */
    DeviceBuffer tokenIds() {
        return section(layout.tokenIds(), layout.nTokens(), "token ids");
    }

    /** {@code [nTokens]} i32. */
    DeviceBuffer positions() {
        return section(layout.positions(), layout.nTokens(), "positions");
    }

    /** {@code [nTokens]} i32. */
    DeviceBuffer slots() {
        return section(layout.slots(), layout.nTokens(), "slots");
    }

    /** {@code [nSeqs + 1]} i32. */
    DeviceBuffer cuSeqlens() {
        return section(layout.cuSeqlens(), layout.nSeqs() + 1, "cuSeqlens");
    }

    /** {@code [nSeqs]} i32. */
    DeviceBuffer kvLens() {
        return section(layout.kvLens(), layout.nSeqs(), "kvLens");
    }

    /** {@code [nLogits]} i32. */
    DeviceBuffer logitRows() {
        return section(layout.logitRows(), layout.nLogits(), "logit rows");
    }

    /** {@code [nSeqs, tableStride]} i32. */
    DeviceBuffer blockTables() {
        return section(layout.blockTables(), layout.nSeqs() * layout.tableStride(), "block tables");
    }

    /** {@code [nSamples]} of {@code SamplingRow}. */
    DeviceBuffer samplingRows() {
        return section(layout.samplingRows(), layout.penalties() - layout.samplingRows(), "sampling rows");
    }

    /** The lists that the sampling rows refer to, from here to the end of the buffer. */
    DeviceBuffer penalties() {
        long offset = (long) layout.penalties() * Integer.BYTES;
        return device.get().slice(offset, device.get().byteSize() - offset, "penalties");
    }

    private DeviceBuffer section(int firstInt, int ints, String label) {
        return device.get().slice((long) firstInt * Integer.BYTES, (long) ints * Integer.BYTES, label);
    }

    @Override
    public void close() {
        copied.close();
        if (pinned != null) {
            pinned.close();
        }
    }
}
