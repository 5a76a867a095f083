package io.fireq.kernels.bench;

import io.fireq.kernels.cuda.CudaContext;
import io.fireq.kernels.cuda.DeviceBuffer;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;

/** What a benchmark puts on the device, until the next line of its table. */
final class BenchBuffers implements AutoCloseable {
    private final CudaContext context;
    private final List<DeviceBuffer> buffers = new ArrayList<>();

    BenchBuffers(CudaContext context) {
        this.context = context;
    }

    DeviceBuffer allocate(String label, long byteSize) {
        DeviceBuffer buffer = context.allocate(label, byteSize);
        buffers.add(buffer);
        return buffer;
    }

    /** A buffer filled with repetitions of some bytes. */
    DeviceBuffer pattern(String label, long byteSize, byte[] bytes) {
        DeviceBuffer buffer = allocate(label, byteSize);
        for (long at = 0; at < byteSize; at += bytes.length) {
            buffer.upload(at, ByteBuffer.wrap(bytes, 0, (int) Math.min(bytes.length, byteSize - at)));
        }
        return buffer;
    }

    DeviceBuffer floats(String label, float[] values) {
        ByteBuffer bytes = direct(4 * values.length);
        bytes.asFloatBuffer().put(values);
        return upload(label, bytes);
    }

    DeviceBuffer ints(String label, int[] values) {
        ByteBuffer bytes = direct(4 * values.length);
        bytes.asIntBuffer().put(values);
        return upload(label, bytes);
    }

    private static ByteBuffer direct(int size) {
        return ByteBuffer.allocateDirect(size).order(ByteOrder.LITTLE_ENDIAN);
    }

    private DeviceBuffer upload(String label, ByteBuffer bytes) {
        DeviceBuffer buffer = allocate(label, bytes.capacity());
        buffer.upload(0, bytes);
        return buffer;
    }

    /** Gives all of them back. */
    @Override
    public void close() {
        buffers.forEach(DeviceBuffer::close);
        buffers.clear();
    }
}
