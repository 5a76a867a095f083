package io.fireq.kernels.testing;

import io.fireq.kernels.cuda.CudaContext;
import io.fireq.kernels.cuda.CudaProbe;
import io.fireq.kernels.cuda.CudaStream;
import io.fireq.kernels.cuda.DeviceBuffer;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;

/** The device as a test uses it: guarded buffers in, guarded buffers out, and nothing left behind. */
public final class Gpu implements AutoCloseable {
    private final CudaContext context;
    private final CudaStream stream;
    private final List<GuardedBuffer> buffers = new ArrayList<>();

    private Gpu(CudaContext context) {
        this.context = context;
        this.stream = context.newStream();
    }

    /** Opens the device. */
    public static Gpu open() {
        return new Gpu(CudaContext.open(CudaProbe.probe().device().orElseThrow()));
    }

    public CudaContext context() {
        return context;
    }

    public CudaStream stream() {
        return stream;
    }

    /** A buffer full of the guard pattern. */
    public DeviceBuffer empty(String label, long byteSize) {
        GuardedBuffer buffer = new GuardedBuffer(context, label, byteSize);
        buffers.add(buffer);
        return buffer.buffer();
    }

    public DeviceBuffer upload(String label, byte[] values) {
        DeviceBuffer buffer = empty(label, values.length);
        buffer.upload(0, ByteBuffer.wrap(values));
        return buffer;
    }

    public DeviceBuffer upload(String label, short[] values) {
        ByteBuffer bytes = host(values.length * 2);
        bytes.asShortBuffer().put(values);
        return upload(label, bytes);
    }

    public DeviceBuffer upload(String label, int[] values) {
        ByteBuffer bytes = host(values.length * 4);
        bytes.asIntBuffer().put(values);
        return upload(label, bytes);
    }

    public DeviceBuffer upload(String label, float[] values) {
        ByteBuffer bytes = host(values.length * 4);
        bytes.asFloatBuffer().put(values);
        return upload(label, bytes);
    }

    private DeviceBuffer upload(String label, ByteBuffer bytes) {
        DeviceBuffer buffer = empty(label, bytes.remaining());
        buffer.upload(0, bytes);
        return buffer;
    }

    public byte[] bytes(DeviceBuffer buffer) {
        byte[] values = new byte[Math.toIntExact(buffer.byteSize())];
        download(buffer).get(values);
        return values;
    }

    public short[] shorts(DeviceBuffer buffer) {
        short[] values = new short[Math.toIntExact(buffer.byteSize() / 2)];
        download(buffer).asShortBuffer().get(values);
        return values;
    }

    public float[] floats(DeviceBuffer buffer) {
        float[] values = new float[Math.toIntExact(buffer.byteSize() / 4)];
        download(buffer).asFloatBuffer().get(values);
        return values;
    }

    private ByteBuffer download(DeviceBuffer buffer) {
        ByteBuffer bytes = host(Math.toIntExact(buffer.byteSize()));
        buffer.download(0, bytes);
        return bytes;
    }

    private static ByteBuffer host(int byteSize) {
        return ByteBuffer.allocateDirect(byteSize).order(ByteOrder.LITTLE_ENDIAN);
    }

    /** Waits for the device and checks every guard. */
    public void finish() {
        context.synchronize();
        buffers.forEach(GuardedBuffer::verify);
    }

    /** Frees everything; fails where a buffer is left. */
    @Override
    public void close() {
        buffers.forEach(GuardedBuffer::close);
        stream.close();
        List<String> left = context.liveBuffers();
        context.close();
        if (!left.isEmpty()) {
            throw new AssertionError("Buffers that nobody closed: " + left);
        }
    }
}
