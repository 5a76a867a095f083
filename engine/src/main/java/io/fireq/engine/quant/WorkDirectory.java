package io.fireq.engine.quant;

import io.fireq.engine.api.FireqException;
import io.fireq.engine.json.Json;
import io.fireq.engine.json.JsonLimits;
import io.fireq.engine.json.JsonObject;
import io.fireq.engine.quant.calibration.SmoothingMagnitudes;
import io.fireq.engine.tensor.HostTensor;
import io.fireq.engine.tensor.WeightMatrix;
import io.fireq.engine.weights.SafetensorsFile;
import io.fireq.engine.weights.SafetensorsWriter;
import io.fireq.engine.weights.v1.LinearFormat;
import io.fireq.engine.weights.v1.TensorReport;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Where an unfinished quantization keeps its results, beside its target: a safetensors file and a report for each
 * finished piece, a piece being a decoder layer, the embedding or the head. After an interruption the same quantization
 * finds them and goes on; another one of the same target throws them away.
 *
 * <pre>
 *   .TARGET.unfinished/fingerprint          of source, options and calibration text
 *                     /lock                 held by the process that works here
 *                     /PIECE.safetensors, PIECE.magnitudes, PIECE.json   the last one says that the piece is complete
 *                     /hidden-…             see {@link CalibrationSet}
 * </pre>
 */
final class WorkDirectory implements AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(WorkDirectory.class);
    private static final String FINGERPRINT = "fingerprint";
    private static final String LOCK = "lock";

    private final Path path;
    private final FileChannel lockChannel;
    private final FileLock lock;

    private WorkDirectory(Path path, FileChannel lockChannel, FileLock lock) {
        this.path = path;
        this.lockChannel = lockChannel;
        this.lock = lock;
    }

    /**
     * Opens the work directory of a target.
     *
     * @param fingerprint of all that the result depends on
     * @throws FireqException if another process works on the same target
     */
    static WorkDirectory open(Path target, String fingerprint) {
        Path absolute = target.toAbsolutePath().normalize();
        Path path = absolute.resolveSibling("." + absolute.getFileName() + ".unfinished");
        FileChannel channel = null;
        try {
            Files.createDirectories(path);
            channel = FileChannel.open(path.resolve(LOCK), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
            FileLock lock = tryLock(channel);
            if (lock == null) {
                channel.close();
                throw new FireqException("Quantizing into %s: another process is at it; wait for it, or choose another "
                        .formatted(target) + "target");
            }
            Path fingerprintFile = path.resolve(FINGERPRINT);
            if (!Files.exists(fingerprintFile) || !Files.readString(fingerprintFile).equals(fingerprint)) {
                clear(path);
                Files.writeString(fingerprintFile, fingerprint);
            }
            return new WorkDirectory(path, channel, lock);
        } catch (IOException e) {
            throw failed(path, e);
        }
    }

    private static FileLock tryLock(FileChannel channel) throws IOException {
        try {
            return channel.tryLock();
        } catch (OverlappingFileLockException ofThisProcess) {
            return null;
        }
    }

    Path path() {
        return path;
    }

    boolean isComplete(String piece) {
        return Files.exists(path.resolve(piece + ".json"));
    }

    /** How many of the pieces of this name, numbered from 0, are complete. */
    int completeBlocks() {
        int n = 0;
        while (isComplete(block(n))) {
            n++;
        }
        return n;
    }

    /** The name of a decoder layer's piece. */
    static String block(int layer) {
        return "block-%05d".formatted(layer);
    }

    /** Writes a piece; it is complete when this returns, and was not before. */
    void commit(String piece, QuantizedBlock result) {
        try {
            Path tensors = path.resolve(piece + ".safetensors");
            try (SafetensorsWriter writer = SafetensorsWriter.create(tensors, Map.of())) {
                for (WeightMatrix matrix : result.matrices()) {
                    LinearFormat.encode(matrix.name(), matrix).forEach(writer::add);
                }
                result.tensors().forEach(writer::add);
                writer.finish();
            }
            force(tensors);
            if (!result.magnitudes().isEmpty()) {
                Path magnitudes = path.resolve(piece + ".magnitudes");
                result.magnitudes().write(magnitudes);
                force(magnitudes);
            }
            Path report = path.resolve(piece + ".json.tmp");
            Files.writeString(report, Json.write(reportMap(result)));
            force(report);
            Files.move(report, path.resolve(piece + ".json"), StandardCopyOption.ATOMIC_MOVE);
        } catch (IOException e) {
            throw failed(path, e);
        }
    }

    /** Waits until the disk has it: a report must not survive a power cut that its tensors do not. */
    private static void force(Path file) throws IOException {
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
            channel.force(true);
        }
    }

    private static Map<String, Object> reportMap(QuantizedBlock result) {
        List<Object> rows = new ArrayList<>();
        for (TensorReport report : result.reports()) {
            Map<String, Object> row = new LinkedHashMap<>();
            row.put("name", report.name());
            row.put("format", report.format());
            row.put("group_size", report.groupSize());
            row.put("measures", report.measures());
            rows.add(row);
        }
        return Map.of("tensors", rows);
    }

    /** The tensors of a complete piece, mapped. */
    List<HostTensor> tensors(String piece) {
        try (SafetensorsFile file = SafetensorsFile.open(path.resolve(piece + ".safetensors"))) {
            return file.tensors().keySet().stream().map(file::tensor).toList();
        }
    }

    List<TensorReport> reports(String piece) {
        JsonObject json = Json.readObject(path.resolve(piece + ".json"), JsonLimits.INDEX);
        return json.objects("tensors").stream().map(row -> new TensorReport(row.requireString("name"),
                row.requireString("format"), row.requireInt("group_size", 0, Integer.MAX_VALUE),
                measures(row.requireObject("measures")))).toList();
    }

    private static Map<String, Double> measures(JsonObject json) {
        Map<String, Double> measures = new LinkedHashMap<>();
        for (String key : json.keys()) {
            json.optionalDouble(key).ifPresent(value -> measures.put(key, value));
        }
        return measures;
    }

    SmoothingMagnitudes magnitudes(String piece) {
        Path file = path.resolve(piece + ".magnitudes");
        return Files.exists(file) ? SmoothingMagnitudes.read(file) : new SmoothingMagnitudes();
    }

    /** Removes everything: the checkpoint is complete, and what cannot be removed harms nobody. */
    void delete() {
        close();
        try {
            clear(path);
            Files.deleteIfExists(path.resolve(LOCK));
            Files.deleteIfExists(path);
        } catch (IOException e) {
            LOG.warn("Could not remove {}: {}; it is no longer needed", path, e.toString());
        }
    }

    private static void clear(Path directory) throws IOException {
        try (Stream<Path> files = Files.list(directory)) {
            for (Path file : files.filter(f -> !f.endsWith(LOCK)).toList()) {
                Files.delete(file);
            }
        }
    }

    static void delete(Path file) {
        try {
            Files.deleteIfExists(file);
        } catch (IOException e) {
            throw failed(file, e);
        }
    }

    private static FireqException failed(Path path, IOException e) {
        return new FireqException("Quantizing, in %s: %s; check the free space and the permissions".formatted(path, e),
                e);
    }

    /** Leaves what is there for later. */
    @Override
    public void close() {
        try {
            if (lock.isValid()) {
                lock.release();
            }
            lockChannel.close();
        } catch (IOException e) {
            throw failed(path, e);
        }
    }
}
