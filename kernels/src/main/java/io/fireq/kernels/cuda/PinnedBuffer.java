package io.fireq.kernels.cuda;

import static org.bytedeco.cuda.global.cudart.cuMemFreeHost;
import static org.bytedeco.cuda.global.cudart.cuMemHostAlloc;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.PointerPointer;

/** Page-locked host memory: the end of copies that run while the CPU does something else. */
public final class PinnedBuffer implements AutoCloseable {
    private final CudaContext context;
    private final String label;
    private final int byteSize;
    private final BytePointer pointer;
    private final ByteBuffer bytes;

    PinnedBuffer(CudaContext context, String label, int byteSize) {
        this.context = context;
        this.label = label;
        this.byteSize = byteSize;
        try (PointerPointer<BytePointer> address = new PointerPointer<>(1)) {
            address.put(0, (Pointer) null);
            CudaDriver.check(cuMemHostAlloc(address, byteSize, 0),
                    "cuMemHostAlloc('%s', %,d bytes)".formatted(label, byteSize), context);
            pointer = address.get(BytePointer.class, 0);
        }
        pointer.capacity(byteSize);
        bytes = pointer.asByteBuffer().order(ByteOrder.LITTLE_ENDIAN);
    }

    /** The memory, little-endian; not to be used after {@link #close}. */
    public ByteBuffer bytes() {
        return bytes;
    }

    /** Size in bytes. */
    public int byteSize() {
        return byteSize;
    }

    Pointer pointer() {
        return pointer;
    }

    @Override
    public void close() {
        CudaDriver.check(cuMemFreeHost(pointer), "cuMemFreeHost('" + label + "')", context);
    }
}
