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
 * Copies results to the host, behind what is queued, through two pinned buffers: one is emptied while the other is filled.
 */
final class HostTransfer implements AutoCloseable {
    private static final int CHUNK_BYTES = 8 << 20;
    /** Floats that a thread copies at a time. */
    private static final int PIECE = 1 << 17;

    private final CudaStream stream;
    private final PinnedBuffer[] chunks = new PinnedBuffer[2];
    private final CudaEvent[] copied = new CudaEvent[2];

    HostTransfer(CudaContext context, CudaStream stream) {
        this.stream = stream;
        for (int i = 0; i < chunks.length; i++) {
            chunks[i] = context.allocatePinned("results", CHUNK_BYTES);
            copied[i] = context.newEvent();
        }
    }

    /** Reads {@code count} elements, which are those from element {@code from} on, at the position of {@code chunk}. */
    interface Sink {
        void read(long from, int count, ByteBuffer chunk);
    }

    /** Copies the first {@code nElements} elements of a buffer. */
    void download(DeviceBuffer source, long nElements, int elementBytes, Sink sink) {
        int perChunk = CHUNK_BYTES / elementBytes;
        long queued = 0;
        for (long from = 0, turn = 0; from < nElements; from += perChunk, turn++) {
            if (queued == from) {
                queued += queue(source, from, nElements, elementBytes, (int) (turn % 2));
            }
            if (queued < nElements) {
                queued += queue(source, queued, nElements, elementBytes, (int) ((turn + 1) % 2));
            }
            int current = (int) (turn % 2);
            copied[current].synchronize();
            int count = (int) Math.min(perChunk, nElements - from);
            sink.read(from, count, chunks[current].bytes().duplicate().clear().order(ByteOrder.LITTLE_ENDIAN));
        }
    }

    private int queue(DeviceBuffer source, long from, long nElements, int elementBytes, int chunk) {
        int count = (int) Math.min(CHUNK_BYTES / elementBytes, nElements - from);
        source.downloadAsync(stream, from * elementBytes, chunks[chunk], count * elementBytes);
        copied[chunk].record(stream);
        return count;
    }

    /** Copies floats into the whole of {@code target}. */
    void download(DeviceBuffer source, float[] target) {
        download(source, target.length, target);
    }

    /** Copies the first {@code count} floats. */
    void download(DeviceBuffer source, int count, float[] target) {
        download(source, count, Float.BYTES, (from, part, chunk) -> {
            FloatBuffer floats = chunk.asFloatBuffer();
            Chunks.forEach(part, PIECE, (begin, end) -> floats.get(begin, target, (int) from + begin, end - begin));
        });
    }

    /** Copies doubles into the whole of {@code target}. */
    void download(DeviceBuffer source, double[] target) {
        download(source, target.length, Double.BYTES,
                (from, count, chunk) -> chunk.asDoubleBuffer().get(target, (int) from, count));
    }

    /** Copies bytes into the whole of {@code target}. */
    void download(DeviceBuffer source, byte[] target) {
        download(source, target.length, 1, (from, count, chunk) -> chunk.get(target, (int) from, count));
    }

    @Override
    public void close() {
        for (int i = 0; i < chunks.length; i++) {
            copied[i].close();
            chunks[i].close();
        }
    }
}
