package io.fireq.engine.weights;

import io.fireq.engine.api.ModelFormatException;
import io.fireq.engine.api.ModelNotFoundException;
import io.fireq.engine.api.UnsupportedModelException;
import io.fireq.engine.json.Json;
import io.fireq.engine.json.JsonLimits;
import io.fireq.engine.json.JsonObject;
import io.fireq.engine.tensor.HostTensor;
import io.fireq.engine.tensor.WeightMatrix;
import io.fireq.engine.weights.v1.LinearFormat;
import io.fireq.engine.weights.v1.QuantizationInfo;
import io.fireq.engine.weights.v1.TensorSource;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;

/**
 * The weights of a model directory, Hugging Face's or FireQ's: {@code model.safetensors}, or shards named by
 * {@code model.safetensors.index.json}. All headers are checked when it is opened; data is mapped when asked for.
 *
 * <p>Closing stops further mapping; tensors already handed out stay valid. Any thread may read.
 */
public final class Checkpoint implements WeightSource, AutoCloseable {
    static final String SINGLE_FILE = "model.safetensors";
    static final String INDEX_FILE = "model.safetensors.index.json";
    static final String CONFIG_FILE = "config.json";
    static final String WEIGHT_MAP = "weight_map";

    private final Path directory;
    private final Optional<QuantizationInfo> quantization;
    private final Map<String, SafetensorsFile> fileOfTensor = new TreeMap<>();
    private final List<SafetensorsFile> files = new ArrayList<>();

    private Checkpoint(Path directory, Optional<QuantizationInfo> quantization) {
        this.directory = directory;
        this.quantization = quantization;
    }

    /**
     * Opens a model directory.
     *
     * @throws ModelNotFoundException    when it is no directory or holds no safetensors weights
     * @throws ModelFormatException      when a file is incomplete or contradicts another
     * @throws UnsupportedModelException when it is quantized in a way that FireQ does not read
     */
    public static Checkpoint open(Path directory) {
        requireDirectory(directory);
        return opened(new Checkpoint(directory, readQuantization(directory)));
    }

    /**
     * As {@link #open}, for weights that another method has quantized: what config.json says of them is left to the
     * caller, and {@link #quantization} is empty.
     */
    public static Checkpoint openForeign(Path directory) {
        requireDirectory(directory);
        return opened(new Checkpoint(directory, Optional.empty()));
    }

    private static void requireDirectory(Path directory) {
        if (!Files.isDirectory(directory)) {
            throw new ModelNotFoundException(
                    "No model directory %s; give the path of a directory with %s and %s or %s"
                            .formatted(directory, CONFIG_FILE, SINGLE_FILE, INDEX_FILE));
        }
    }

    private static Checkpoint opened(Checkpoint checkpoint) {
        try {
            checkpoint.openFiles();
            return checkpoint;
        } catch (RuntimeException e) {
            checkpoint.close();
            throw e;
        }
    }

    /** Whether a directory's config.json says that its weights are in FireQ's format, of any version. */
    public static boolean isFireq(Path directory) {
        Path config = directory.resolve(CONFIG_FILE);
        return Files.isRegularFile(config) && Json.readObject(config, JsonLimits.CONFIG)
                .object(QuantizationInfo.CONFIG_KEY)
                .flatMap(json -> json.string("quant_method"))
                .filter(QuantizationInfo.METHOD::equals).isPresent();
    }

    private static Optional<QuantizationInfo> readQuantization(Path directory) {
        Path config = directory.resolve(CONFIG_FILE);
        return Files.isRegularFile(config)
                ? QuantizationInfo.parse(Json.readObject(config, JsonLimits.CONFIG))
                : Optional.empty();
    }

    private void openFiles() {
        if (Files.isRegularFile(directory.resolve(INDEX_FILE))) {
            openShards();
        } else if (Files.isRegularFile(directory.resolve(SINGLE_FILE))) {
            SafetensorsFile file = openFile(SINGLE_FILE);
            file.tensors().keySet().forEach(name -> fileOfTensor.put(name, file));
        } else {
            throw new ModelNotFoundException(
                    "No weights in %s: looked for %s and %s; other formats are not read, convert them to safetensors"
                            .formatted(directory, SINGLE_FILE, INDEX_FILE));
        }
    }

    private void openShards() {
        Path index = directory.resolve(INDEX_FILE);
        JsonObject weightMap = Json.readObject(index, JsonLimits.INDEX).requireObject(WEIGHT_MAP);
        Map<String, SafetensorsFile> byShard = new TreeMap<>();
        for (String tensor : weightMap.keys()) {
            String shard = weightMap.requireString(tensor);
            SafetensorsFile file = byShard.get(shard);
            if (file == null) {
                if (!isPlainFileName(shard)) {
                    throw weightMap.malformed(tensor,
                            "names the shard '%s', which is not a file of this directory".formatted(shard));
                }
                if (!Files.isRegularFile(directory.resolve(shard))) {
                    throw weightMap.malformed(tensor,
                            "is in the shard '%s', which is missing from %s".formatted(shard, directory));
                }
                file = openFile(shard);
                byShard.put(shard, file);
            }
            if (!file.tensors().containsKey(tensor)) {
                throw new ModelFormatException(file.path(), -1, "%s expects '%s' here, but %s".formatted(INDEX_FILE,
                        tensor, Names.missing("tensor", tensor, file.tensors().keySet())));
            }
            fileOfTensor.put(tensor, file);
        }
    }

    /** Links are followed, as in the cache of the Hugging Face hub; names that lead elsewhere are not. */
    private static boolean isPlainFileName(String name) {
        return !name.isBlank() && !name.equals(".") && !name.equals("..")
                && name.chars().noneMatch(c -> c == '/' || c == '\\' || c == ':' || c < ' ');
    }

    private SafetensorsFile openFile(String fileName) {
        SafetensorsFile file = SafetensorsFile.open(directory.resolve(fileName));
        files.add(file);
        return file;
    }

    public Path directory() {
        return directory;
    }

    /** How the weights are quantized, or empty for an unquantized checkpoint. */
    public Optional<QuantizationInfo> quantization() {
        return quantization;
    }

    /** Names of all tensors, in alphabetical order. */
    public Set<String> names() {
        return Collections.unmodifiableSet(fileOfTensor.keySet());
    }

    @Override
    public boolean has(String name) {
        return fileOfTensor.containsKey(name);
    }

    @Override
    public boolean hasLinear(String layerName) {
        return LinearFormat.isPresent(layerName, this::has);
    }

    /** What the header says of a tensor, in any format. */
    public TensorInfo info(String name) {
        return fileOf(name).tensors().get(name);
    }

    /** Bytes of all tensors. */
    public long byteSize() {
        return fileOfTensor.keySet().stream().mapToLong(name -> info(name).byteSize()).sum();
    }

    /**
     * A tensor, as a view of the mapped file.
     *
     * @throws ModelFormatException      when there is none of this name
     * @throws UnsupportedModelException when it is in a format that FireQ does not read, or larger than 2 GiB
     */
    public HostTensor tensor(String name) {
        return fileOf(name).tensor(name);
    }

    /**
     * The bytes of a tensor in any format, such as packed integers, as a view of the mapped file.
     *
     * @throws ModelFormatException      when there is none of this name
     * @throws UnsupportedModelException when it is larger than 2 GiB
     */
    public ByteBuffer bytes(String name) {
        return fileOf(name).bytes(name);
    }

    /** As {@link #tensor(String)}; {@link ModelFormatException} also when it has another shape. */
    @Override
    public HostTensor tensor(String name, int... expectedShape) {
        HostTensor tensor = tensor(name);
        List<Integer> expected = Arrays.stream(expectedShape).boxed().toList();
        if (!tensor.shape().equals(expected)) {
            throw malformed(name, "tensor %s: the shape must be %s; config.json and the weights are of different models"
                    .formatted(tensor, expected));
        }
        return tensor;
    }

    /**
     * The weight {@code [n, k]} of a linear layer or an embedding, in the format it is stored in.
     *
     * @param layerName its name without {@code .weight}, such as {@code model.layers.0.self_attn.q_proj}
     * @throws ModelFormatException when it is missing or has another shape
     */
    @Override
    public WeightMatrix linear(String layerName, int n, int k) {
        return LinearFormat.decode(layerName, n, k, new TensorSource() {
            @Override
            public boolean has(String name) {
                return Checkpoint.this.has(name);
            }

            @Override
            public HostTensor tensor(String name) {
                return Checkpoint.this.tensor(name);
            }

            @Override
            public ModelFormatException malformed(String name, String problem) {
                return Checkpoint.this.malformed(name, problem);
            }
        });
    }

    /**
     * Reads every file that the checkpoint has a checksum for and compares. It takes as long as reading the disk does.
     *
     * @return how many files were compared; 0 for a checkpoint that carries no checksums
     * @throws ModelFormatException when a file is missing or differs
     */
    public int verifyChecksums() {
        Map<String, String> expected = quantization.map(QuantizationInfo::files).orElse(Map.of());
        expected.forEach((fileName, sha256) -> {
            if (!isPlainFileName(fileName)) {
                throw new ModelFormatException(directory.resolve(CONFIG_FILE), -1,
                        "the checksummed file '%s' is not a file of this directory; quantize the model again"
                                .formatted(fileName));
            }
            Path path = directory.resolve(fileName);
            if (!Files.isRegularFile(path)) {
                throw new ModelFormatException(path, -1, "%s lists the file, but it is missing; copy it again"
                        .formatted(CONFIG_FILE));
            }
            String actual = Sha256.ofFile(path);
            if (!actual.equals(sha256)) {
                throw new ModelFormatException(path, -1, "its SHA-256 is %s, %s requires %s; copy the file again"
                        .formatted(actual, CONFIG_FILE, sha256));
            }
        });
        return expected.size();
    }

    private SafetensorsFile fileOf(String name) {
        SafetensorsFile file = fileOfTensor.get(name);
        if (file == null) {
            Path index = directory.resolve(INDEX_FILE);
            throw new ModelFormatException(Files.exists(index) ? index : files.get(0).path(), -1,
                    Names.missing("tensor", name, names()));
        }
        return file;
    }

    /** An exception that blames the file which holds the tensor. */
    public ModelFormatException malformed(String name, String problem) {
        SafetensorsFile file = fileOf(name);
        return new ModelFormatException(file.path(), file.tensors().get(name).offset(), problem);
    }

    @Override
    public String toString() {
        return "checkpoint " + directory;
    }

    @Override
    public void close() {
        files.forEach(SafetensorsFile::close);
    }
}
