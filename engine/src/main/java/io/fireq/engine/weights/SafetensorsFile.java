package io.fireq.engine.weights;

import io.fireq.engine.api.FireqException;
import io.fireq.engine.api.ModelFormatException;
import io.fireq.engine.api.ModelNotFoundException;
import io.fireq.engine.api.UnsupportedModelException;
import io.fireq.engine.tensor.DType;
import io.fireq.engine.tensor.HostTensor;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.channels.FileChannel.MapMode;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.Map;
import java.util.stream.Collectors;

/**
 * One safetensors file. Its header is read and checked when it is opened; tensors are mapped into memory one by one
 * when they are asked for, so that the heap holds none of their data.
 *
 * <p>Closing stops further mapping. Tensors already handed out stay valid until they are garbage. Any thread may read.
 */
public final class SafetensorsFile implements AutoCloseable {
    private static final long GIT_LFS_POINTER = 0x206e6f6973726576L; // "version " as a little-endian number

    private final Path path;
    private final FileChannel channel;
    private final SafetensorsHeader header;

    private SafetensorsFile(Path path, FileChannel channel, SafetensorsHeader header) {
        this.path = path;
        this.channel = channel;
        this.header = header;
    }

    /**
     * Opens a file and checks its header against its length.
     *
     * @throws ModelNotFoundException when there is no such file
     * @throws ModelFormatException   when it is no complete safetensors file
     */
    public static SafetensorsFile open(Path path) {
        FileChannel channel = null;
        try {
            channel = FileChannel.open(path, StandardOpenOption.READ);
            SafetensorsHeader header = readHeader(path, channel);
            SafetensorsFile file = new SafetensorsFile(path, channel, header);
            channel = null;
            return file;
        } catch (NoSuchFileException e) {
            throw new ModelNotFoundException("No file %s; check the path or download it again".formatted(path));
        } catch (IOException e) {
            throw new FireqException("Reading %s: %s; check that it is a readable file".formatted(path, e), e);
        } finally {
            closeQuietly(channel);
        }
    }

    private static void closeQuietly(FileChannel channel) {
        try {
            if (channel != null) {
                channel.close();
            }
        } catch (IOException e) {
            return; // a file that was only read loses nothing, and the exception on its way says more
        }
    }

    private static SafetensorsHeader readHeader(Path path, FileChannel channel) throws IOException {
        if (Files.isDirectory(path)) {
            throw new ModelFormatException(path, -1, "it is a directory; a safetensors file is needed");
        }
        long fileBytes = channel.size();
        if (fileBytes < SafetensorsHeader.LENGTH_BYTES + 2) {
            throw new ModelFormatException(path, fileBytes,
                    "the file has %,d bytes, too few for a safetensors header; the download is incomplete"
                            .formatted(fileBytes));
        }
        long headerBytes = read(path, channel, 0, SafetensorsHeader.LENGTH_BYTES).getLong();
        if (headerBytes == GIT_LFS_POINTER) {
            throw new ModelFormatException(path, 0,
                    "this is a Git LFS pointer, not the file it stands for; run 'git lfs pull' where it was cloned");
        }
        if (headerBytes < 2 || headerBytes > SafetensorsHeader.MAX_HEADER_BYTES) {
            throw new ModelFormatException(path, 0,
                    "the header claims %s bytes; required are 2 to %,d; this is no safetensors file, or it is damaged"
                            .formatted(Long.toUnsignedString(headerBytes), SafetensorsHeader.MAX_HEADER_BYTES));
        }
        if (headerBytes > fileBytes - SafetensorsHeader.LENGTH_BYTES) {
            throw new ModelFormatException(path, 0,
                    "the header ends at %,d but the file has %,d bytes; the download is incomplete"
                            .formatted(SafetensorsHeader.LENGTH_BYTES + headerBytes, fileBytes));
        }
        ByteBuffer json = read(path, channel, SafetensorsHeader.LENGTH_BYTES, (int) headerBytes);
        return SafetensorsHeader.parse(path, json.array(), fileBytes);
    }

    private static ByteBuffer read(Path path, FileChannel channel, long offset, int count) throws IOException {
        ByteBuffer bytes = ByteBuffer.allocate(count).order(ByteOrder.LITTLE_ENDIAN);
        while (bytes.hasRemaining()) {
            if (channel.read(bytes, offset + bytes.position()) < 0) {
                throw new ModelFormatException(path, offset + bytes.position(),
                        "the file became shorter while it was read; wait until its download is complete");
            }
        }
        return bytes.flip();
    }

    public Path path() {
        return path;
    }

    /** Tensors by name, in the order of their data. */
    public Map<String, TensorInfo> tensors() {
        return header.tensors();
    }

    /** The free-form strings that came with the tensors. */
    public Map<String, String> metadata() {
        return header.metadata();
    }

    /**
     * A view of one tensor's bytes in the mapped file.
     *
     * @throws ModelFormatException      when the file has no such tensor
     * @throws UnsupportedModelException when its format is not one of {@link DType}, or it is larger than 2 GiB
     */
    public HostTensor tensor(String name) {
        TensorInfo info = info(name);
        DType dtype = info.dtype().orElseThrow(() -> new UnsupportedModelException(
                "%s: tensor '%s' is %s; supported are %s; convert the checkpoint to BF16".formatted(path, name,
                        info.dtypeName(), Arrays.stream(DType.values()).map(DType::safetensorsName)
                                .collect(Collectors.joining(", ")))));
        return new HostTensor(name, dtype, info.shape(), map(info));
    }

    /**
     * As {@link #tensor}, without regard to its format: little-endian bytes.
     *
     * @throws ModelFormatException      when the file has no such tensor
     * @throws UnsupportedModelException when it is larger than 2 GiB
     */
    public ByteBuffer bytes(String name) {
        return map(info(name)).order(ByteOrder.LITTLE_ENDIAN);
    }

    private TensorInfo info(String name) {
        TensorInfo info = header.tensors().get(name);
        if (info == null) {
            throw new ModelFormatException(path, -1, Names.missing("tensor", name, header.tensors().keySet()));
        }
        return info;
    }

    private ByteBuffer map(TensorInfo info) {
        if (info.byteSize() > Integer.MAX_VALUE) {
            throw new UnsupportedModelException(
                    "%s: tensor '%s' %s %s has %,d bytes; a single tensor may have %,d; use a smaller format or split it"
                            .formatted(path, info.name(), info.dtypeName(), info.shape(), info.byteSize(),
                                    Integer.MAX_VALUE));
        }
        if (info.byteSize() == 0) {
            return ByteBuffer.allocate(0);
        }
        if (!channel.isOpen()) {
            throw new IllegalStateException("Mapping tensor '%s': %s is closed".formatted(info.name(), path));
        }
        try {
            return channel.map(MapMode.READ_ONLY, info.offset(), info.byteSize());
        } catch (IOException e) {
            throw new FireqException("Mapping tensor '%s' of %s: %s; check that the file is still there"
                    .formatted(info.name(), path, e.getMessage()), e);
        }
    }

    @Override
    public void close() {
        closeQuietly(channel);
    }
}
