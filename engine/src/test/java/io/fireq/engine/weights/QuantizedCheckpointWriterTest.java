package io.fireq.engine.weights;

import static io.fireq.engine.weights.TestFiles.formatError;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import io.fireq.engine.api.FireqException;
import io.fireq.engine.api.UnsupportedModelException;
import io.fireq.engine.json.Json;
import io.fireq.engine.json.JsonLimits;
import io.fireq.engine.tensor.DType;
import io.fireq.engine.tensor.E4m3Matrix;
import io.fireq.engine.tensor.FloatMatrix;
import io.fireq.engine.tensor.HostTensor;
import io.fireq.engine.tensor.Int4Matrix;
import io.fireq.engine.tensor.WeightMatrix;
import io.fireq.engine.weights.v1.LinearFormat;
import io.fireq.engine.weights.v1.QuantizationInfo;
import io.fireq.engine.weights.v1.QuantizationInfo.KvCache;
import io.fireq.engine.weights.v1.TensorReport;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class QuantizedCheckpointWriterTest {
    private static final long SEED = 20_252;
    private static final QuantizationInfo INFO = new QuantizationInfo("best", 16,
            new KvCache(KvCache.Kind.ASYMMETRIC, 8, 4), Map.of("windows", 48, "corpus", "text", "gptq", true), List.of(),
            Map.of());
    private static final TensorReport REPORT =
            new TensorReport("a", "int4", 16, Map.of(TensorReport.SQNR_DB, 19.625, "max_error", 0.25));
    private static final float[] VALUES = Int4Matrix.signMagnitude(0.5f, 1.25f, 2, 3, 4, 5.5f, 7, 9);

    private final WeightMatrix int4 = int4("a", 7, 48, 16, Int4Matrix.integers());
    private final WeightMatrix table = int4("b", 5, 16, 8, VALUES);
    private final WeightMatrix odd = int4("c", 3, 11, 11, VALUES);
    private final WeightMatrix fp8 = new E4m3Matrix("d", 6, 5, bytes(30), floats(6));
    private final WeightMatrix plain =
            new FloatMatrix(new HostTensor("e.weight", DType.BF16, List.of(3, 4), bytes(24)));
    private final HostTensor norm = HostTensor.ofFloats("model.norm.weight", List.of(9), floats(9));
    private final HostTensor smooth = HostTensor.ofFloats(LinearFormat.kSmoothName(2), List.of(2, 8), floats(16));

    @TempDir
    private Path directory;
    private Path target;

    @BeforeEach
    void nameTarget() {
        target = directory.resolve("quantized");
    }

    @Test
    void what_is_written_reads_back() {
        write(target, QuantizedCheckpointWriter.DEFAULT_SHARD_BYTES);
        assertThat(Checkpoint.isFireq(target)).isTrue();
        assertReadsBack(List.of("config.json", "model.safetensors", "tokenizer.json"));
    }

    @Test
    void shards_stay_within_their_limit_and_read_back() {
        write(target, 250);
        assertReadsBack(List.of("config.json", "model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors",
                "model-00003-of-00003.safetensors",
                "model.safetensors.index.json", "tokenizer.json"));
        for (String name : target.toFile().list((parent, name) -> name.endsWith(".safetensors"))) {
            try (SafetensorsFile shard = SafetensorsFile.open(target.resolve(name))) {
                assertThat(shard.tensors().values().stream().mapToLong(TensorInfo::byteSize).sum()).as(name)
                        .isLessThanOrEqualTo(250);
            }
        }
        try (SafetensorsFile first = SafetensorsFile.open(target.resolve("model-00001-of-00003.safetensors"))) {
            assertThat(first.tensors().keySet()).as("the tensors of a layer stay together")
                    .containsExactly("a.weight_row_scale", "a.weight_packed", "a.weight_scale");
        }
    }

    private void assertReadsBack(List<String> fileNames) {
        assertThat(target.toFile().list()).containsExactlyInAnyOrderElementsOf(fileNames);
        assertThat(directory.toFile().list()).as("no temporary directory").containsExactly("quantized");
        try (Checkpoint read = Checkpoint.open(target)) {
            for (WeightMatrix weight : List.of(int4, table, odd, fp8)) {
                assertThat(read.linear(weight.name(), weight.n(), weight.k())).isEqualTo(weight);
            }
            assertThat(read.linear("e", 3, 4)).isEqualTo(plain);
            assertThat(read.tensor("model.norm.weight", 9)).isEqualTo(norm);
            assertThat(read.tensor("model.layers.2.self_attn.k_smooth", 2, 8)).isEqualTo(smooth);
            assertThat(read.has("a.weight_values")).as("two's complement integers are not stored").isFalse();
            QuantizationInfo info = read.quantization().orElseThrow();
            assertThat(info.with(List.of(), Map.of())).isEqualTo(INFO);
            assertThat(info.tensors()).containsExactly(REPORT);
            assertThat(info.tensors().get(0).sqnrDb()).hasValue(19.625);
            assertThat(info.files().keySet()).containsExactlyInAnyOrderElementsOf(
                    fileNames.stream().filter(name -> !name.equals("config.json")).toList());
            assertThat(read.verifyChecksums()).isEqualTo(fileNames.size() - 1);
        }
    }

    @Test
    void the_config_of_the_source_is_kept() {
        write(target, 1 << 20);
        Map<String, Object> source =
                Json.readObject(TestFiles.stories260k().resolve("config.json"), JsonLimits.CONFIG).toMap();
        Map<String, Object> written = Json.readObject(target.resolve("config.json"), JsonLimits.CONFIG).toMap();
        assertThat(written).containsAllEntriesOf(source).hasSize(source.size() + 1).containsKey("quantization_config");
    }

    @Test
    void the_same_input_gives_the_same_bytes() throws IOException {
        Path second = directory.resolve("second");
        write(target, 250);
        write(second, 250);
        for (String name : target.toFile().list()) {
            assertThat(Files.mismatch(target.resolve(name), second.resolve(name))).as(name).isEqualTo(-1);
        }
    }

    @Test
    void a_changed_or_missing_file_fails_verification_by_name() throws IOException {
        write(target, 1 << 20);
        Path weights = target.resolve("model.safetensors");
        byte[] bytes = Files.readAllBytes(weights);
        bytes[bytes.length - 1] ^= 1;
        Files.write(weights, bytes);
        try (Checkpoint read = Checkpoint.open(target)) {
            assertThat(formatError(read::verifyChecksums)).hasMessageContaining("model.safetensors")
                    .hasMessageContaining("SHA-256");
        }
        bytes[bytes.length - 1] ^= 1;
        Files.write(weights, bytes);
        Files.delete(target.resolve("tokenizer.json"));
        try (Checkpoint read = Checkpoint.open(target)) {
            assertThat(formatError(read::verifyChecksums)).hasMessageContaining("tokenizer.json")
                    .hasMessageContaining("missing");
        }
    }

    @Test
    void an_existing_checkpoint_is_not_overwritten() throws IOException {
        Files.createDirectory(target);
        write(target, 1 << 20);
        byte[] before = Files.readAllBytes(target.resolve("config.json"));
        assertThatExceptionOfType(FireqException.class).isThrownBy(() -> write(target, 1 << 20))
                .withMessageContaining("exists already");
        assertThat(target.resolve("config.json")).hasBinaryContent(before);
    }

    @Test
    void an_unfinished_checkpoint_leaves_nothing() throws IOException {
        try (QuantizedCheckpointWriter writer = writer(target, 1 << 20)) {
            writer.addLinear("a", int4);
            assertThatIllegalArgumentException().isThrownBy(() -> writer.addLinear("a", int4))
                    .withMessageContaining("added before");
        }
        assertThat(directory).isEmptyDirectory();
        try (QuantizedCheckpointWriter writer = writer(target, 1 << 20)) {
            assertThatIllegalStateException().isThrownBy(writer::finish).withMessageContaining("no tensor");
        }
        assertThat(directory).isEmptyDirectory();
    }

    @Test
    void measures_that_json_cannot_hold_are_dropped() {
        TensorReport exact = new TensorReport("x", "bf16", 0, Map.of(TensorReport.SQNR_DB, Double.POSITIVE_INFINITY,
                "mse", 0.0, "bias", Double.NaN));
        assertThat(exact.sqnrDb()).isEmpty();
        assertThat(exact.measures()).containsOnly(Map.entry("mse", 0.0));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {
        "\"format_version\" : 1 | \"format_version\" : 0 | 'quantization_config.format_version' is 0",
        "\"format_version\" : 1, | | 'quantization_config.format_version' is missing",
        "\"profile\" : \"best\" | \"profile\" : 7 | 'quantization_config.profile' is 7",
        "\"group_size\" : 16, | \"group_size\" : 0, | 'quantization_config.group_size' is 0",
        "\"asymmetric\" | \"none\" | required is one of asymmetric, symmetric",
        "\"group_size\" : 8 | \"group_size\" : -8 | 'quantization_config.kv_cache.group_size' is -8",
        "\"max_error\" : 0.25 | \"max_error\" : \"x\" | 'quantization_config.tensors.0.max_error' is \"x\"",
        "\"format\" : \"int4\" | \"format\" : [] | 'quantization_config.tensors.0.format' is an array",
        "\"model.safetensors\" : \" | \"model.safetensors\" : \"x | must be a SHA-256"})
    void a_malformed_entry_in_config_is_refused(String from, String to, String problem) throws IOException {
        write(target, 1 << 20);
        Path config = target.resolve("config.json");
        String text = Files.readString(config);
        assertThat(text).contains(from);
        Files.writeString(config, text.replace(from, to == null ? "" : to), StandardOpenOption.TRUNCATE_EXISTING);
        assertThat(formatError(() -> Checkpoint.open(target))).hasMessageContaining(problem)
                .hasMessageContaining("config.json at byte");
    }

    @Test
    void a_later_version_is_refused() throws IOException {
        write(target, 1 << 20);
        Path config = target.resolve("config.json");
        Files.writeString(config, Files.readString(config).replace("\"format_version\" : 1", "\"format_version\" : 2"));
        assertThatExceptionOfType(UnsupportedModelException.class).isThrownBy(() -> Checkpoint.open(target))
                .withMessageContaining("format version 2; supported is 1");
        assertThat(Checkpoint.isFireq(target)).isTrue();
    }

    private QuantizedCheckpointWriter writer(Path path, long shardBytes) {
        return QuantizedCheckpointWriter.create(path, TestFiles.stories260k().resolve("config.json"), INFO, shardBytes);
    }

    private void write(Path path, long shardBytes) {
        try (QuantizedCheckpointWriter writer = writer(path, shardBytes)) {
            for (WeightMatrix weight : List.of(int4, table, odd, fp8)) {
                writer.addLinear(weight.name(), weight);
            }
            writer.addLinear("e", plain);
            writer.addTensor(norm);
            writer.addTensor(smooth);
            writer.addReport(REPORT);
            writer.copyFile(TestFiles.stories260k().resolve("tokenizer.json"));
            writer.finish();
        }
    }

    private static Int4Matrix int4(String name, int n, int k, int groupSize, float[] values) {
        return new Int4Matrix(name, n, k, groupSize, bytes(n * ((k + 1) / 2)), bytes(n * (k / groupSize)), floats(n),
                values);
    }

    private static ByteBuffer bytes(int count) {
        byte[] bytes = new byte[count];
        new Random(SEED).nextBytes(bytes);
        return ByteBuffer.wrap(bytes);
    }

    private static float[] floats(int count) {
        float[] floats = new float[count];
        Random random = new Random(SEED);
        for (int i = 0; i < count; i++) {
            floats[i] = (float) random.nextGaussian();
        }
        return floats;
    }
}
