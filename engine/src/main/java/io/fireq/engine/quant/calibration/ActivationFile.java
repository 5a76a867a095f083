package io.fireq.engine.quant.calibration;

import io.fireq.engine.api.FireqException;
import io.fireq.engine.tensor.Bf16;
import io.fireq.engine.tensor.Chunks;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * Activations {@code [nWindows, windowLen, width]} on disk, read and written a window at a time: the calibration set of a
 * large model does not fit into memory, and the operating system caches what does.
 *
 * <p>One thread.
 */
public final class ActivationFile implements AutoCloseable {
    /** Values that a thread converts and moves at a time. */
    private static final int CHUNK = 1 << 17;

    private final Path path;
    private final FileChannel channel;
    private final Format format;
    private final int windowSize;
    private final ByteBuffer buffer;

    /** How a value is stored. */
    public enum Format {
        /** Exact for what a backend keeps as bfloat16. */
        BF16(2),
        F32(4);

        private final int bytes;

        Format(int bytes) {
            this.bytes = bytes;
        }
    }

    private ActivationFile(Path path, Format format, int windowSize, StandardOpenOption... options) {
        this.path = path;
        this.format = format;
        this.windowSize = windowSize;
        this.buffer = ByteBuffer.allocateDirect(Math.multiplyExact(windowSize, format.bytes)).order(ByteOrder.LITTLE_ENDIAN);
        try {
            channel = FileChannel.open(path, options);
        } catch (IOException e) {
            throw failed(e);
        }
    }

    /**
     * Starts a file, in place of one that may be there.
     *
     * @param windowSize values of a window, {@code windowLen · width}
     */
    public static ActivationFile create(Path path, Format format, int windowSize) {
        return new ActivationFile(path, format, windowSize, StandardOpenOption.CREATE,
                StandardOpenOption.TRUNCATE_EXISTING, StandardOpenOption.READ, StandardOpenOption.WRITE);
    }

    /**
     * Takes a file for values that are written before they are read, and that nobody needs afterwards. What it held stays
     * where it is until it is written over: to give a large file's memory back costs more than the work it is for.
     */
    public static ActivationFile scratch(Path path, Format format, int windowSize) {
        return new ActivationFile(path, format, windowSize, StandardOpenOption.CREATE, StandardOpenOption.READ,
                StandardOpenOption.WRITE);
    }

    /** Opens a complete file for reading. */
    public static ActivationFile open(Path path, Format format, int windowSize) {
        return new ActivationFile(path, format, windowSize, StandardOpenOption.READ);
    }

    /** Bytes that {@code nWindows} windows take. */
    public static long byteSize(Format format, int windowSize, int nWindows) {
        return (long) windowSize * format.bytes * nWindows;
    }

    /** Writes the first {@code count} values of a window. */
    public void write(int window, float[] values, int count) {
        Chunks.forEach(count, CHUNK, (begin, end) -> {
            ByteBuffer bytes = bytes(begin, end);
            for (int i = begin; i < end; i++) {
                if (format == Format.BF16) {
                    bytes.putShort(Bf16.encode(values[i]));
                } else {
                    bytes.putFloat(values[i]);
                }
            }
            bytes.flip();
            try {
                for (long at = offset(window) + (long) begin * format.bytes; bytes.hasRemaining();) {
                    at += channel.write(bytes, at);
                }
            } catch (IOException e) {
                throw failed(e);
            }
        });
    }

    /** Reads the first {@code count} values of a window. */
    public void read(int window, float[] target, int count) {
        Chunks.forEach(count, CHUNK, (begin, end) -> {
            ByteBuffer bytes = bytes(begin, end);
            try {
                for (long at = offset(window) + (long) begin * format.bytes; bytes.hasRemaining();) {
                    int n = channel.read(bytes, at);
                    if (n < 0) {
                        throw new FireqException("Calibration activations %s: the file ends inside of window %d; delete its "
                                .formatted(path, window) + "directory and quantize again");
                    }
                    at += n;
                }
            } catch (IOException e) {
                throw failed(e);
            }
            bytes.flip();
            for (int i = begin; i < end; i++) {
                target[i] = format == Format.BF16 ? Bf16.decode(bytes.getShort()) : bytes.getFloat();
            }
        });
    }

    /** The part of the buffer for some values of a window. */
    private ByteBuffer bytes(int begin, int end) {
        return buffer.slice(begin * format.bytes, (end - begin) * format.bytes).order(ByteOrder.LITTLE_ENDIAN);
    }

    private long offset(int window) {
        return byteSize(format, windowSize, window);
    }

    /** Waits until the disk has it. */
    public void force() {
        try {
            channel.force(false);
        } catch (IOException e) {
            throw failed(e);
        }
    }

    public Path path() {
        return path;
    }

    private FireqException failed(IOException e) {
        return new FireqException("Calibration activations %s: %s; check the free space and the permissions"
                .formatted(path, e), e);
    }

    @Override
    public void close() {
        try {
            channel.close();
        } catch (IOException e) {
            throw failed(e);
        }
    }
}
