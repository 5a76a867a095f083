package io.fireq.engine.weights;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import io.fireq.engine.api.FireqException;
import io.fireq.engine.tensor.DType;
import io.fireq.engine.tensor.HostTensor;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;

/**
 * Writes a safetensors file from tensors that come one after the other. The file appears under its name when
 * {@link #finish} has written all of it, and depends on the tensors and the metadata alone, not on their order.
 *
 * <p>The header must come first and is known last, so data goes to a file beside the target and is copied once, by the
 * kernel. Data begins at a multiple of 64 bytes and tensors with larger elements come first, which aligns every element.
 *
 * <p>One thread. Closing without {@code finish} leaves nothing behind.
 */
public final class SafetensorsWriter implements AutoCloseable {
    private static final int DATA_ALIGNMENT = 64;
    private static final Comparator<Spilled> FILE_ORDER =
            Comparator.comparingInt((Spilled s) -> -s.dtype().bytes()).thenComparing(Spilled::name);

    private final Path target;
    private final Path spillPath;
    private final Path partPath;
    private final Map<String, String> metadata;
    private final FileChannel spill;
    private final List<Spilled> spilled = new ArrayList<>();
    private final Set<String> names = new HashSet<>();
    private long dataBytes;

    /** A tensor without its data, and where in the spill file that is. */
    private record Spilled(String name, DType dtype, List<Integer> shape, long byteSize, long offset) {}

    private SafetensorsWriter(Path target, Map<String, String> metadata) {
        this.target = target;
        this.spillPath = target.resolveSibling(target.getFileName() + ".data.tmp");
        this.partPath = target.resolveSibling(target.getFileName() + ".tmp");
        this.metadata = new TreeMap<>(metadata);
        try {
            this.spill = FileChannel.open(spillPath, StandardOpenOption.CREATE, StandardOpenOption.TRUNCATE_EXISTING,
                    StandardOpenOption.READ, StandardOpenOption.WRITE);
        } catch (IOException e) {
            throw failed(e);
        }
    }

    /**
     * Starts a file.
     *
     * @param metadata free-form strings for the header; may be empty
     */
    public static SafetensorsWriter create(Path target, Map<String, String> metadata) {
        return new SafetensorsWriter(target.toAbsolutePath(), metadata);
    }

    /** Writes a whole file. */
    public static void write(Path target, Map<String, String> metadata, Iterable<HostTensor> tensors) {
        try (SafetensorsWriter writer = create(target, metadata)) {
            tensors.forEach(writer::add);
            writer.finish();
        }
    }

    /**
     * Appends a tensor; its memory is not needed afterwards.
     *
     * @throws IllegalArgumentException when there is one of that name already
     */
    public void add(HostTensor tensor) {
        if (tensor.name().equals(SafetensorsHeader.METADATA) || !names.add(tensor.name())) {
            throw new IllegalArgumentException("Writing %s: the name of tensor %s is taken; give each its own"
                    .formatted(target, tensor));
        }
        ByteBuffer data = tensor.data().duplicate().clear();
        try {
            spilled.add(new Spilled(tensor.name(), tensor.dtype(), tensor.shape(), data.remaining(), dataBytes));
            while (data.hasRemaining()) {
                dataBytes += spill.write(data);
            }
        } catch (IOException e) {
            throw failed(e);
        }
    }

    /** Bytes of the tensors so far. */
    public long dataBytes() {
        return dataBytes;
    }

    /** Writes the file and puts it in its place. No tensor can be added afterwards. */
    public void finish() {
        spilled.sort(FILE_ORDER);
        try {
            try (FileChannel out = FileChannel.open(partPath, StandardOpenOption.CREATE,
                    StandardOpenOption.TRUNCATE_EXISTING, StandardOpenOption.WRITE)) {
                ByteBuffer header = header();
                while (header.hasRemaining()) {
                    out.write(header);
                }
                for (Spilled tensor : spilled) {
                    copy(tensor, out);
                }
                out.force(true);
            }
            spill.close();
            Files.move(partPath, target, StandardCopyOption.ATOMIC_MOVE);
        } catch (IOException e) {
            throw failed(e);
        }
    }

    private void copy(Spilled tensor, FileChannel out) throws IOException {
        long copied = 0;
        while (copied < tensor.byteSize()) {
            copied += spill.transferTo(tensor.offset() + copied, tensor.byteSize() - copied, out);
        }
    }

    private ByteBuffer header() throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (JsonGenerator json = new JsonFactory().createGenerator(bytes)) {
            json.writeStartObject();
            if (!metadata.isEmpty()) {
                json.writeObjectFieldStart(SafetensorsHeader.METADATA);
                for (Map.Entry<String, String> entry : metadata.entrySet()) {
                    json.writeStringField(entry.getKey(), entry.getValue());
                }
                json.writeEndObject();
            }
            long begin = 0;
            for (Spilled tensor : spilled) {
                json.writeObjectFieldStart(tensor.name());
                json.writeStringField("dtype", tensor.dtype().safetensorsName());
                json.writeFieldName("shape");
                json.writeArray(tensor.shape().stream().mapToInt(Integer::intValue).toArray(), 0,
                        tensor.shape().size());
                json.writeFieldName("data_offsets");
                json.writeArray(new long[] {begin, begin + tensor.byteSize()}, 0, 2);
                json.writeEndObject();
                begin += tensor.byteSize();
            }
            json.writeEndObject();
        }
        int unpadded = SafetensorsHeader.LENGTH_BYTES + bytes.size();
        int padded = (unpadded + DATA_ALIGNMENT - 1) / DATA_ALIGNMENT * DATA_ALIGNMENT;
        byte[] header = Arrays.copyOf(bytes.toByteArray(), padded - SafetensorsHeader.LENGTH_BYTES);
        Arrays.fill(header, bytes.size(), header.length, (byte) ' ');
        return ByteBuffer.allocate(padded).order(ByteOrder.LITTLE_ENDIAN).putLong(header.length).put(header).flip();
    }

    private FireqException failed(IOException e) {
        return new FireqException("Writing %s: %s; check the directory, its permissions and the free space"
                .formatted(target, e), e);
    }

    @Override
    public void close() {
        try {
            spill.close();
            Files.deleteIfExists(spillPath);
            Files.deleteIfExists(partPath);
        } catch (IOException e) {
            throw failed(e);
        }
    }
}
