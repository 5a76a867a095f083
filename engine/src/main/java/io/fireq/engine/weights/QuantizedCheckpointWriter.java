package io.fireq.engine.weights;

import io.fireq.engine.api.FireqException;
import io.fireq.engine.json.Json;
import io.fireq.engine.json.JsonLimits;
import io.fireq.engine.tensor.HostTensor;
import io.fireq.engine.tensor.WeightMatrix;
import io.fireq.engine.weights.v1.LinearFormat;
import io.fireq.engine.weights.v1.QuantizationInfo;
import io.fireq.engine.weights.v1.TensorReport;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * Writes a FireQ checkpoint directory (format: {@link LinearFormat}, {@link QuantizationInfo}). Weights come one after
 * the other and need no memory afterwards. The directory appears under its name when {@link #finish} has written all of
 * it; the same calls give the same bytes.
 *
 * <p>One thread. Closing without {@code finish} leaves nothing behind.
 */
public final class QuantizedCheckpointWriter implements AutoCloseable {
    /** Most bytes of weights in one file, unless told otherwise. */
    public static final long DEFAULT_SHARD_BYTES = 4_000_000_000L;

    private static final Map<String, String> METADATA = Map.of("format", "pt", "quant_method", QuantizationInfo.METHOD);

    private final Path target;
    private final Path work;
    private final long shardBytes;
    private final Map<String, Object> config;
    private final QuantizationInfo info;
    private final List<TensorReport> reports = new ArrayList<>();
    /** Shard number of each tensor, from 0. */
    private final Map<String, Integer> shardOfTensor = new TreeMap<>();
    private final Map<String, String> checksums = new TreeMap<>();
    private SafetensorsWriter shard;
    private int nShards;
    private long totalBytes;

    private QuantizedCheckpointWriter(Path target, Path sourceConfig, QuantizationInfo info, long shardBytes) {
        this.target = target.toAbsolutePath().normalize();
        this.shardBytes = shardBytes;
        this.info = info;
        this.config = Json.readObject(sourceConfig, JsonLimits.CONFIG).toMap();
        requireFree(target);
        try {
            Files.createDirectories(this.target.getParent());
            this.work = this.target.resolveSibling(
                    "." + this.target.getFileName() + ".tmp-" + ProcessHandle.current().pid());
            deleteRecursively(work);
            Files.createDirectory(work);
        } catch (IOException e) {
            throw failed(e);
        }
    }

    /**
     * Starts a checkpoint.
     *
     * @param target       directory to create; it may exist if it is empty
     * @param sourceConfig config.json of the original model; kept, with {@code quantization_config} added
     * @param info         profile, KV cache format and calibration facts; error table and checksums are filled in here
     */
    public static QuantizedCheckpointWriter create(Path target, Path sourceConfig, QuantizationInfo info) {
        return create(target, sourceConfig, info, DEFAULT_SHARD_BYTES);
    }

    /** As {@link #create(Path, Path, QuantizationInfo)}, with at most {@code shardBytes} of weights in one file. */
    public static QuantizedCheckpointWriter create(Path target, Path sourceConfig, QuantizationInfo info,
            long shardBytes) {
        if (shardBytes < 1) {
            throw new IllegalArgumentException("Writing checkpoint %s: shardBytes is %,d; it must be 1 or more"
                    .formatted(target, shardBytes));
        }
        return new QuantizedCheckpointWriter(target, sourceConfig, info, shardBytes);
    }

    /**
     * Checks that a checkpoint can be written here, before work is spent on it.
     *
     * @throws FireqException if {@code target} exists and is no empty directory
     */
    public static void requireFree(Path target) {
        try {
            if (Files.exists(target) && !isEmptyDirectory(target)) {
                throw new FireqException("Writing checkpoint %s: it exists already; delete it or choose another path"
                        .formatted(target));
            }
        } catch (IOException e) {
            throw new FireqException("Writing checkpoint %s: %s; check the directory and its permissions"
                    .formatted(target, e), e);
        }
    }

    /**
     * Adds the weight of a linear layer or of the embedding.
     *
     * @param layerName its name without {@code .weight}
     */
    public void addLinear(String layerName, WeightMatrix weight) {
        addTogether(LinearFormat.encode(layerName, weight));
    }

    /** Adds a tensor that is no linear layer, under its own name. */
    public void addTensor(HostTensor tensor) {
        addTogether(List.of(tensor));
    }

    /** Adds tensors as they are stored, under their own names; they stay in one file. */
    public void addTensors(List<HostTensor> tensors) {
        if (!tensors.isEmpty()) {
            addTogether(tensors);
        }
    }

    /** Adds a row to the error table. */
    public void addReport(TensorReport report) {
        reports.add(report);
    }

    /** Copies a file, such as tokenizer.json, under its own name. */
    public void copyFile(Path source) {
        Path copy = work.resolve(source.getFileName().toString());
        if (copy.getFileName().toString().equals(Checkpoint.CONFIG_FILE) || Files.exists(copy)) {
            throw new IllegalArgumentException("Writing checkpoint %s: there is a %s already"
                    .formatted(target, copy.getFileName()));
        }
        try (InputStream in = Files.newInputStream(source)) { // a copy of the file itself would keep its permissions
            Files.copy(in, copy);
        } catch (IOException e) {
            throw failed(e);
        }
    }

    /** The tensors of one layer stay in one file. */
    private void addTogether(List<HostTensor> tensors) {
        long bytes = tensors.stream().mapToLong(tensor -> tensor.data().capacity()).sum();
        if (shard != null && shard.dataBytes() > 0 && shard.dataBytes() + bytes > shardBytes) {
            finishShard();
        }
        if (shard == null) {
            shard = SafetensorsWriter.create(work.resolve(workName(nShards)), METADATA);
            nShards++;
        }
        for (HostTensor tensor : tensors) {
            if (shardOfTensor.putIfAbsent(tensor.name(), nShards - 1) != null) {
                throw new IllegalArgumentException("Writing checkpoint %s: tensor %s was added before"
                        .formatted(target, tensor));
            }
            shard.add(tensor);
        }
        totalBytes += bytes;
    }

    private static String workName(int shard) {
        return "shard-" + shard;
    }

    private void finishShard() {
        try (SafetensorsWriter finished = shard) {
            finished.finish();
        }
        shard = null;
    }

    /** Writes what remains and puts the directory in its place. */
    public void finish() {
        if (shard == null) {
            throw new IllegalStateException("Writing checkpoint %s: no tensor was added".formatted(target));
        }
        finishShard();
        try {
            nameShards();
            checksumFiles();
            Map<String, Object> written = new LinkedHashMap<>(config);
            written.put(QuantizationInfo.CONFIG_KEY, info.with(reports, checksums).toMap());
            Files.writeString(work.resolve(Checkpoint.CONFIG_FILE), Json.write(written));
            Files.deleteIfExists(target);
            Files.move(work, target, StandardCopyOption.ATOMIC_MOVE);
        } catch (IOException e) {
            throw failed(e);
        }
    }

    private void nameShards() throws IOException {
        if (nShards == 1) {
            Files.move(work.resolve(workName(0)), work.resolve(Checkpoint.SINGLE_FILE));
            return;
        }
        for (int i = 0; i < nShards; i++) {
            Files.move(work.resolve(workName(i)), work.resolve(shardName(i)));
        }
        Map<String, String> weightMap = new TreeMap<>();
        shardOfTensor.forEach((tensor, i) -> weightMap.put(tensor, shardName(i)));
        Map<String, Object> index = new LinkedHashMap<>();
        index.put("metadata", Map.of("total_size", totalBytes));
        index.put(Checkpoint.WEIGHT_MAP, weightMap);
        Files.writeString(work.resolve(Checkpoint.INDEX_FILE), Json.write(index));
    }

    private String shardName(int shard) {
        return String.format(Locale.ROOT, "model-%05d-of-%05d.safetensors", shard + 1, nShards);
    }

    private void checksumFiles() throws IOException {
        try (Stream<Path> files = Files.list(work)) {
            checksums.putAll(files.toList().parallelStream()
                    .collect(Collectors.toMap(file -> file.getFileName().toString(), Sha256::ofFile)));
        }
    }

    private static boolean isEmptyDirectory(Path path) throws IOException {
        if (!Files.isDirectory(path)) {
            return false;
        }
        try (Stream<Path> children = Files.list(path)) {
            return children.findAny().isEmpty();
        }
    }

    private static void deleteRecursively(Path directory) throws IOException {
        if (!Files.exists(directory)) {
            return;
        }
        try (Stream<Path> children = Files.list(directory)) {
            for (Path child : children.toList()) {
                Files.delete(child);
            }
        }
        Files.delete(directory);
    }

    private FireqException failed(IOException e) {
        return new FireqException("Writing checkpoint %s: %s; check the directory, its permissions and the free space"
                .formatted(target, e), e);
    }

    @Override
    public void close() {
        try {
            if (shard != null) {
                shard.close();
                shard = null;
            }
            deleteRecursively(work);
        } catch (IOException e) {
            throw failed(e);
        }
    }
}
