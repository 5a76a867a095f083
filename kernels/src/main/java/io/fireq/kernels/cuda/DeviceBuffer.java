package io.fireq.kernels.cuda;

import static org.bytedeco.cuda.global.cudart.cuMemAlloc;
import static org.bytedeco.cuda.global.cudart.cuMemFree;
import static org.bytedeco.cuda.global.cudart.cuMemcpyDtoDAsync;
import static org.bytedeco.cuda.global.cudart.cuMemcpyDtoH;
import static org.bytedeco.cuda.global.cudart.cuMemcpyDtoHAsync;
import static org.bytedeco.cuda.global.cudart.cuMemcpyHtoD;
import static org.bytedeco.cuda.global.cudart.cuMemcpyHtoDAsync;
import static org.bytedeco.cuda.global.cudart.cuMemsetD8Async;

import java.nio.ByteBuffer;
import java.util.Objects;
import org.bytedeco.javacpp.BytePointer;

/**
 * A run of device memory with a label. Either it owns the memory, and closing frees it, or it is a {@link #slice} of
 * another buffer, and closing does nothing. Every copy is checked against its size.
 */
public final class DeviceBuffer implements AutoCloseable {
    private final CudaContext context;
    private final String label;
    private final long address;
    private final long byteSize;
    private final DeviceBuffer owner;
    private boolean closed;

    private DeviceBuffer(CudaContext context, String label, long address, long byteSize, DeviceBuffer owner) {
        this.context = context;
        this.label = label;
        this.address = address;
        this.byteSize = byteSize;
        this.owner = owner;
    }

    static DeviceBuffer allocate(CudaContext context, String label, long byteSize) {
        if (byteSize < 1) {
            throw new IllegalArgumentException("DeviceBuffer '%s': %,d bytes, required 1 or more".formatted(label, byteSize));
        }
        long[] address = new long[1];
        int result = cuMemAlloc(address, byteSize);
        if (result != 0) {
            throw CudaDriver.failure(result, "cuMemAlloc('%s', %,d bytes)".formatted(label, byteSize),
                    "%s with %,d bytes free".formatted(context.device().describe(), context.freeBytes()));
        }
        DeviceBuffer buffer = new DeviceBuffer(context, label, address[0], byteSize, null);
        context.track(buffer);
        return buffer;
    }

    /** A view of {@code bytes} bytes from {@code offset} on; valid while this buffer is. */
    public DeviceBuffer slice(long offset, long bytes, String label) {
        checkRange(offset, bytes, "slice '" + label + "'");
        return new DeviceBuffer(context, label, address + offset, bytes, owner == null ? this : owner);
    }

    /** What it holds. */
    public String label() {
        return label;
    }

    /** Size in bytes. */
    public long byteSize() {
        return byteSize;
    }

    /** The device address. */
    public long address() {
        if (isClosed()) {
            throw new IllegalStateException("DeviceBuffer " + this + " is used after it was closed");
        }
        return address;
    }

    /** Whether the address is a multiple of {@code bytes}. */
    public boolean isAligned(int bytes) {
        return address() % bytes == 0;
    }

    /**
     * Checks that this buffer can be an operand.
     *
     * @param operation who asks, for the message
     * @param operand   the operand's name and shape, for the message
     * @return this buffer
     * @throws IllegalArgumentException where {@code elements} do not fit
     */
    public DeviceBuffer require(String operation, String operand, long elements, int elementBytes) {
        if (elements > byteSize / elementBytes) {
            throw new IllegalArgumentException("%s: %s needs %,d elements of %d bytes but buffer %s is smaller; allocate it for this shape"
                    .formatted(operation, operand, elements, elementBytes, this));
        }
        return this;
    }

    /** Copies the remaining bytes of a host buffer to {@code offset}; returns when the copy is done, for every stream. */
    public void upload(long offset, ByteBuffer source) {
        checkRange(offset, source.remaining(), "upload");
        try (BytePointer host = new BytePointer(source.slice())) {
            CudaDriver.check(cuMemcpyHtoD(address() + offset, host, source.remaining()),
                    "cuMemcpyHtoD('%s', %,d bytes)".formatted(label, source.remaining()), context);
        }
        context.synchronize(); // the driver may return with the last bytes in flight, and our streams do not wait for them
    }

    /** Fills the remaining space of a direct host buffer from {@code offset} on, after all earlier device work. */
    public void download(long offset, ByteBuffer target) {
        checkRange(offset, target.remaining(), "download");
        if (!target.isDirect()) {
            throw new IllegalArgumentException("DeviceBuffer '" + label + "': download needs a direct host buffer");
        }
        context.synchronize();
        try (BytePointer host = new BytePointer(target.slice())) {
            CudaDriver.check(cuMemcpyDtoH(host, address() + offset, target.remaining()),
                    "cuMemcpyDtoH('%s', %,d bytes)".formatted(label, target.remaining()), context);
        }
    }

    /** Queues a copy of the first {@code bytes} bytes of pinned memory to {@code offset}. */
    public void uploadAsync(CudaStream stream, long offset, PinnedBuffer source, int bytes) {
        checkRange(offset, bytes, "uploadAsync");
        Objects.checkFromIndexSize(0, bytes, source.byteSize());
        CudaDriver.check(cuMemcpyHtoDAsync(address() + offset, source.pointer(), bytes, stream.handle()),
                "cuMemcpyHtoDAsync", context);
    }

    /** Queues a copy of {@code bytes} bytes from {@code offset} to the start of pinned memory. */
    public void downloadAsync(CudaStream stream, long offset, PinnedBuffer target, int bytes) {
        checkRange(offset, bytes, "downloadAsync");
        Objects.checkFromIndexSize(0, bytes, target.byteSize());
        CudaDriver.check(cuMemcpyDtoHAsync(target.pointer(), address() + offset, bytes, stream.handle()),
                "cuMemcpyDtoHAsync", context);
    }

    /** Queues a copy of {@code bytes} bytes from another buffer. */
    public void copyAsync(CudaStream stream, long offset, DeviceBuffer source, long sourceOffset, long bytes) {
        checkRange(offset, bytes, "copyAsync");
        source.checkRange(sourceOffset, bytes, "copyAsync");
        CudaDriver.check(cuMemcpyDtoDAsync(address() + offset, source.address() + sourceOffset, bytes, stream.handle()),
                "cuMemcpyDtoDAsync", context);
    }

    /** Queues setting every byte. */
    public void fillAsync(CudaStream stream, byte value) {
        CudaDriver.check(cuMemsetD8Async(address(), value, byteSize, stream.handle()), "cuMemsetD8Async", context);
    }

    @Override
    public void close() {
        if (owner != null || closed) {
            return;
        }
        closed = true;
        context.untrack(this);
        CudaDriver.check(cuMemFree(address), "cuMemFree('" + label + "')", context);
    }

    private boolean isClosed() {
        return closed || owner != null && owner.closed;
    }

    private void checkRange(long offset, long bytes, String what) {
        if (offset < 0 || bytes < 0 || offset > byteSize - bytes) {
            throw new IndexOutOfBoundsException("DeviceBuffer '%s': %s of %,d bytes at %,d, but it has %,d".formatted(
                    label, what, bytes, offset, byteSize));
        }
    }

    @Override
    public String toString() {
        return "'%s' (%,d bytes)".formatted(label, byteSize);
    }
}
