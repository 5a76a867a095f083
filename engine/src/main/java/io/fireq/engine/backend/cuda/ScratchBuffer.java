package io.fireq.engine.backend.cuda;

import io.fireq.kernels.cuda.CudaStream;
import io.fireq.kernels.cuda.DeviceBuffer;

/** Device memory as large as the largest step so far. Growing moves it, and whoever remembers its address is told. */
final class ScratchBuffer {
    private final DeviceMemory memory;
    private final CudaStream stream;
    private final String label;
    private final Runnable moving;
    private DeviceBuffer buffer;

    /**
     * @param moving called before the buffer moves
     */
    ScratchBuffer(DeviceMemory memory, CudaStream stream, String label, Runnable moving) {
        this.memory = memory;
        this.stream = stream;
        this.label = label;
        this.moving = moving;
    }

    /** The buffer, at least this large; what it held is lost where it grows. */
    DeviceBuffer atLeast(long byteSize) {
        if (buffer == null || buffer.byteSize() < byteSize) {
            if (buffer != null) {
                moving.run();
                stream.synchronize();
                memory.free(buffer);
                buffer = null;
            }
            buffer = memory.allocate(label, byteSize);
        }
        return buffer;
    }

    /** The buffer as {@link #atLeast} last returned it. */
    DeviceBuffer get() {
        return buffer;
    }
}
