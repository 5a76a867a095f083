package io.fireq.engine.backend.cuda;

import io.fireq.engine.api.FireqException;
import io.fireq.kernels.DeviceException;
import io.fireq.kernels.cuda.CudaContext;
import io.fireq.kernels.cuda.DeviceBuffer;
import java.util.ArrayList;
import java.util.List;

/** All device memory of a backend, freed together. */
final class DeviceMemory implements AutoCloseable {
    /** Where one allocation is divided, parts start at multiples of this, as allocations do. */
    static final int ALIGNMENT = 256;

    private final CudaContext context;
    private final List<DeviceBuffer> buffers = new ArrayList<>();

    DeviceMemory(CudaContext context) {
        this.context = context;
    }

    /**
     * Allocates memory that lives until {@link #free} or {@link #close}.
     *
     * @throws FireqException if it is not there, with the numbers and what to change
     */
    DeviceBuffer allocate(String label, long byteSize) {
        try {
            // An empty tensor still needs an address.
            DeviceBuffer buffer = context.allocate(label, Math.max(byteSize, 1));
            buffers.add(buffer);
            return buffer;
        } catch (DeviceException e) {
            if (!e.isOutOfMemory()) {
                throw e;
            }
            throw new FireqException(("The model does not fit on the GPU: %s; lower kv-cache-tokens, max-model-len, "
                    + "max-batch-tokens or gpu-memory-share, end other programs on the GPU, or set the device to cpu")
                            .formatted(e.getMessage()), e);
        }
    }

    /** Frees one buffer early; nothing queued may use it. */
    void free(DeviceBuffer buffer) {
        buffers.remove(buffer);
        buffer.close();
    }

    /** Labels and sizes of what is allocated, oldest first. */
    List<String> labels() {
        return buffers.stream().map(DeviceBuffer::toString).toList();
    }

    @Override
    public void close() {
        for (int i = buffers.size() - 1; i >= 0; i--) {
            buffers.remove(i).close();
        }
    }
}
