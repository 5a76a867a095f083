package io.fireq.engine.backend.cuda;

import io.fireq.engine.tensor.Chunks;
import io.fireq.kernels.cuda.CudaContext;
import io.fireq.kernels.cuda.CudaEvent;
import io.fireq.kernels.cuda.CudaStream;
import io.fireq.kernels.cuda.DeviceBuffer;
import io.fireq.kernels.cuda.PinnedBuffer;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;

/**
 * Copies weights from where they are mapped to the device through two pinned buffers: one is filled while the other is
 * on its way. Nothing passes through the heap.
 */
final class WeightStaging implements AutoCloseable {
    private static final int CHUNK_BYTES = 8 << 20;
    /** Floats that a thread copies at a time. */
    private static final int PIECE = 1 << 17;

    private final CudaStream stream;
    private final PinnedBuffer[] chunks = new PinnedBuffer[2];
    private final CudaEvent[] copied = new CudaEvent[2];
    private final boolean[] used = new boolean[2];
    private int next;

    WeightStaging(CudaContext context, CudaStream stream) {
        this.stream = stream;
        for (int i = 0; i < chunks.length; i++) {
            chunks[i] = context.allocatePinned("weight staging", CHUNK_BYTES);
            copied[i] = context.newEvent();
        }
    }

    /** Writes {@code count} elements from element {@code from} on, at the position of {@code chunk}. */
    interface Source {
        void write(long from, int count, ByteBuffer chunk);
    }

    /** Queues the copy of all remaining bytes of {@code source}, which is not needed any more on return. */
    void upload(DeviceBuffer target, long offset, ByteBuffer source) {
        upload(target, offset, source.remaining(), 1,
                (from, count, chunk) -> chunk.put(source.slice(source.position() + (int) from, count)));
    }

    /** Queues the copy of floats. */
    void upload(DeviceBuffer target, long offset, float[] source) {
        upload(target, offset, source, 0, source.length);
    }

    /** Queues the copy of {@code count} floats from {@code first} on; all processors fill the buffers. */
    void upload(DeviceBuffer target, long offset, float[] source, int first, int count) {
        upload(target, offset, count, Float.BYTES, (from, part, chunk) -> {
            FloatBuffer floats = chunk.asFloatBuffer();
            Chunks.forEach(part, PIECE, (begin, end) -> floats.put(begin, source, first + (int) from + begin, end - begin));
        });
    }

    /** Queues the copy of elements that are made on the way. */
    void upload(DeviceBuffer target, long offset, long nElements, int elementBytes, Source source) {
        int perChunk = CHUNK_BYTES / elementBytes;
        for (long from = 0; from < nElements; from += perChunk) {
            int count = (int) Math.min(perChunk, nElements - from);
            if (used[next]) {
                copied[next].synchronize();
            }
            source.write(from, count, chunks[next].bytes().duplicate().clear().order(ByteOrder.LITTLE_ENDIAN));
            target.uploadAsync(stream, offset + from * elementBytes, chunks[next], count * elementBytes);
            copied[next].record(stream);
            used[next] = true;
            next = 1 - next;
        }
    }

    @Override
    public void close() {
        for (int i = 0; i < chunks.length; i++) {
            copied[i].close();
            chunks[i].close();
        }
    }
}
