package io.fireq.kernels.testing;

import io.fireq.kernels.cuda.CudaContext;
import io.fireq.kernels.cuda.CudaStream;
import io.fireq.kernels.cuda.DeviceBuffer;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;

/** A device buffer with a pattern before and after it, so that a write outside is seen. */
public final class GuardedBuffer implements AutoCloseable {
    private static final int GUARD_BYTES = 1024;
    private static final byte PATTERN = (byte) 0xa7;

    private final DeviceBuffer whole;
    private final DeviceBuffer inner;

    /** Allocates {@code byteSize} bytes; all of them, and the guards, hold the pattern. */
    public GuardedBuffer(CudaContext context, String label, long byteSize) {
        whole = context.allocate(label + " with guards", byteSize + 2 * GUARD_BYTES);
        inner = whole.slice(GUARD_BYTES, byteSize, label);
        byte[] pattern = new byte[Math.toIntExact(whole.byteSize())];
        Arrays.fill(pattern, PATTERN);
        whole.upload(0, ByteBuffer.wrap(pattern));
    }

    /** The part that a kernel may write. */
    public DeviceBuffer buffer() {
        return inner;
    }

    /** Writes one byte more than the buffer has, as a wrong kernel would. */
    public void overrun(CudaStream stream, DeviceBuffer source) {
        whole.copyAsync(stream, GUARD_BYTES, source, 0, inner.byteSize() + 1);
    }

    /** Fails unless both guards hold the pattern. */
    public void verify() {
        ByteBuffer all = ByteBuffer.allocateDirect(Math.toIntExact(whole.byteSize())).order(ByteOrder.LITTLE_ENDIAN);
        whole.download(0, all);
        for (int i = 0; i < GUARD_BYTES; i++) {
            verify(all, i);
            verify(all, GUARD_BYTES + Math.toIntExact(inner.byteSize()) + i);
        }
    }

    private void verify(ByteBuffer all, int index) {
        if (all.get(index) != PATTERN) {
            throw new AssertionError("Buffer %s: byte %d relative to its start was overwritten with 0x%02x".formatted(
                    inner, index - GUARD_BYTES, all.get(index)));
        }
    }

    @Override
    public void close() {
        whole.close();
    }
}
