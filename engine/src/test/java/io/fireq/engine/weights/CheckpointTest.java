package io.fireq.engine.weights;

import static io.fireq.engine.weights.TestFiles.formatError;
import static io.fireq.engine.weights.TestFiles.safetensors;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import io.fireq.engine.api.ModelFormatException;
import io.fireq.engine.api.ModelNotFoundException;
import io.fireq.engine.api.UnsupportedModelException;
import io.fireq.engine.tensor.DType;
import io.fireq.engine.tensor.FloatMatrix;
import io.fireq.engine.tensor.HostTensor;
import io.fireq.engine.tensor.Int4Matrix;
import io.fireq.engine.tensor.WeightMatrix;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class CheckpointTest {
    private static final String TWO_BYTES = "{'%s': {'dtype': 'BF16', 'shape': [1, 1], 'data_offsets': [0, 2]}}";

    @TempDir
    private Path directory;

    @Test
    void reads_a_single_file_checkpoint() {
        try (Checkpoint stories = Checkpoint.open(TestFiles.stories260k())) {
            assertThat(stories.names()).hasSize(47).contains("model.norm.weight").doesNotContain("lm_head.weight");
            assertThat(stories.byteSize()).isEqualTo(4 * 260_032);
            assertThat(stories.quantization()).isEmpty();
            assertThat(stories.verifyChecksums()).isZero();
            WeightMatrix down = stories.linear("model.layers.4.mlp.down_proj", 64, 172);
            assertThat(down).isInstanceOf(FloatMatrix.class);
            HostTensor same = stories.tensor("model.layers.4.mlp.down_proj.weight", 64, 172);
            assertThat(down.get(63, 170)).isEqualTo(same.get(63 * 172 + 170)).isNotZero();
        }
    }

    @Test
    void reads_a_sharded_checkpoint() {
        try (Checkpoint ember = Checkpoint.open(TestFiles.ember())) {
            assertThat(ember.names()).hasSize(74);
            assertThat(ember.byteSize()).isEqualTo(58_737_664);
            for (int layer = 0; layer < 8; layer++) {
                String prefix = "model.layers." + layer;
                WeightMatrix k = ember.linear(prefix + ".self_attn.k_proj", 256, 512);
                assertThat(((FloatMatrix) k).tensor().dtype()).isEqualTo(DType.BF16);
                for (float value : ember.tensor(prefix + ".input_layernorm.weight", 512).toFloats()) {
                    assertThat(value).isBetween(-20f, 20f);
                }
            }
        }
    }

    @Test
    void a_directory_without_weights_says_what_was_looked_for() {
        assertThatExceptionOfType(ModelNotFoundException.class).isThrownBy(() -> Checkpoint.open(directory))
                .withMessageContaining("model.safetensors").withMessageContaining("model.safetensors.index.json")
                .withMessageContaining(directory.toString());
        Path absent = directory.resolve("absent");
        assertThatExceptionOfType(ModelNotFoundException.class).isThrownBy(() -> Checkpoint.open(absent))
                .withMessageContaining(absent.toString()).withMessageContaining("config.json");
        assertThat(Checkpoint.isFireq(directory)).isFalse();
        assertThat(Checkpoint.isFireq(TestFiles.stories260k())).isFalse();
    }

    @Test
    void a_wrong_shape_names_actual_and_required() {
        try (Checkpoint stories = Checkpoint.open(TestFiles.stories260k())) {
            for (ThrowingCallable call : List.<ThrowingCallable>of(
                    () -> stories.tensor("model.layers.1.mlp.up_proj.weight", 172, 65),
                    () -> stories.linear("model.layers.1.mlp.up_proj", 172, 65))) {
                ModelFormatException error = formatError(call);
                assertThat(error).hasMessageContaining("'model.layers.1.mlp.up_proj.weight' F32 [172, 64]")
                        .hasMessageContaining("must be [172, 65]").hasMessageContaining("model.safetensors at byte");
                assertThat(error.offset()).isPositive();
            }
        }
    }

    @Test
    void a_missing_tensor_names_file_tensor_and_similar_ones() {
        try (Checkpoint stories = Checkpoint.open(TestFiles.stories260k())) {
            assertThat(stories.has("lm_head.weight")).isFalse();
            assertThat(formatError(() -> stories.linear("lm_head", 512, 64)))
                    .hasMessageContaining("model.safetensors: there is no tensor 'lm_head.weight'");
        }
        index("{'a': 's1.safetensors'}");
        safetensors(directory.resolve("s1.safetensors"), TWO_BYTES.formatted("a"), 2);
        try (Checkpoint sharded = Checkpoint.open(directory)) {
            assertThat(formatError(() -> sharded.tensor("b"))).hasMessageContaining("model.safetensors.index.json");
        }
    }

    @Test
    void an_index_that_names_an_absent_shard_or_tensor_is_refused() {
        index("{'a': 's1.safetensors', 'b': 's2.safetensors'}");
        safetensors(directory.resolve("s1.safetensors"), TWO_BYTES.formatted("a"), 2);
        ModelFormatException absent = formatError(() -> Checkpoint.open(directory));
        assertThat(absent).hasMessageContaining("'s2.safetensors', which is missing");
        assertThat(absent.offset()).isPositive();
        safetensors(directory.resolve("s2.safetensors"), TWO_BYTES.formatted("c"), 2);
        assertThat(formatError(() -> Checkpoint.open(directory))).hasMessageContaining("s2.safetensors")
                .hasMessageContaining("there is no tensor 'b'; the most similar of 1 are 'c'");
    }

    @ParameterizedTest
    @ValueSource(strings = {"../x.safetensors", "/etc/passwd", "sub/x.safetensors", "..", ".", "", "c:x", "a\\\\b",
        "a\\u0000b"})
    void an_index_may_not_lead_out_of_the_directory(String shard) {
        safetensors(directory.resolve("x.safetensors"), TWO_BYTES.formatted("a"), 2);
        index("{'a': '" + shard + "'}");
        assertThat(formatError(() -> Checkpoint.open(directory))).hasMessageContaining("index.json at byte")
                .hasMessageContaining("not a file of this directory");
    }

    @Test
    void a_malformed_index_is_refused() {
        for (String map : List.of("7", "{'a': 7}", "{'a': 's1', 'a': 's1'}", "[")) {
            index(map);
            assertThat(formatError(() -> Checkpoint.open(directory))).hasMessageContaining("index.json at byte");
        }
    }

    @Test
    void a_truncated_shard_is_refused() throws IOException {
        index("{'a': 's1.safetensors', 'b': 's2.safetensors'}");
        safetensors(directory.resolve("s1.safetensors"), TWO_BYTES.formatted("a"), 2);
        Path second = safetensors(directory.resolve("s2.safetensors"), TWO_BYTES.formatted("b"), 2);
        try (RandomAccessFile raw = new RandomAccessFile(second.toFile(), "rw")) {
            raw.setLength(raw.length() - 1);
        }
        assertThat(formatError(() -> Checkpoint.open(directory))).hasMessageContaining("s2.safetensors at byte")
                .hasMessageContaining("the download is incomplete");
    }

    @Test
    void weights_quantized_by_others_are_refused_by_name() throws IOException {
        safetensors(directory.resolve("model.safetensors"), TWO_BYTES.formatted("a"), 2);
        Files.writeString(directory.resolve("config.json"), "{\"quantization_config\": {\"quant_method\": \"gptq\"}}");
        assertThatExceptionOfType(UnsupportedModelException.class).isThrownBy(() -> Checkpoint.open(directory))
                .withMessageContaining("'gptq'");
        assertThat(Checkpoint.isFireq(directory)).isFalse();
    }

    @Test
    void an_int4_layer_with_parts_that_do_not_fit_is_refused() {
        HostTensor packed = u8("x.weight_packed", 3, 4);
        HostTensor scale = e4m3("x.weight_scale", 3, 2);
        HostTensor rows = HostTensor.ofFloats("x.weight_row_scale", List.of(3), new float[] {1, 2, 3});
        float[] infinite = new float[16];
        infinite[3] = Float.POSITIVE_INFINITY;
        assertThat(open(packed, scale, rows).linear("x", 3, 8)).isInstanceOfSatisfying(Int4Matrix.class,
                matrix -> assertThat(matrix.groupSize()).isEqualTo(4));

        refused("must be [3, 5]", open(packed, scale, rows), 3, 10);
        refused("must be [4, 4]", open(packed, scale, rows), 4, 8);
        refused("there is no tensor 'x.weight_scale'", open(packed, rows), 3, 8);
        refused("there is no tensor 'x.weight_row_scale'", open(packed, scale), 3, 8);
        refused("must be F8_E4M3", open(packed, u8("x.weight_scale", 3, 2), rows), 3, 8);
        refused("must be U8", open(e4m3("x.weight_packed", 3, 4), scale, rows), 3, 8);
        refused("equal and even size", open(packed, e4m3("x.weight_scale", 3, 3), rows), 3, 8);
        refused("equal and even size", open(packed, e4m3("x.weight_scale", 3, 8), rows), 3, 8);
        refused("equal and even size", open(packed, e4m3("x.weight_scale", 6), rows), 3, 8);
        refused("must be [3, 2]", open(packed, e4m3("x.weight_scale", 2, 2), rows), 3, 8);
        refused("holds NaN at index 1", open(packed, scale,
                HostTensor.ofFloats("x.weight_row_scale", List.of(3), new float[] {1, Float.NaN, 3})), 3, 8);
        refused("holds Infinity at index 3", open(packed, scale, rows,
                HostTensor.ofFloats("x.weight_values", List.of(16), infinite)), 3, 8);
        refused("must be [16]", open(packed, scale, rows,
                HostTensor.ofFloats("x.weight_values", List.of(8), Arrays.copyOf(infinite, 8))), 3, 8);
    }

    @Test
    void an_e4m3_code_that_is_no_number_is_refused_wherever_it_is() {
        HostTensor rows = HostTensor.ofFloats("x.weight_row_scale", List.of(3), new float[] {1, 2, 3});
        for (int at : new int[] {0, 7, 8, 17, 32}) {
            for (int code : new int[] {0x7f, 0xff}) {
                HostTensor weight = e4m3("x.weight_e4m3", 3, 11);
                weight.data().put(at, (byte) code);
                refused("the e4m3 code 0x%02x, which is NaN, at index %d".formatted(code, at), open(weight, rows), 3, 11);
            }
        }
        HostTensor large = e4m3("x.weight_e4m3", 3, 11);
        for (int i = 0; i < 33; i++) {
            large.data().put(i, (byte) (i % 2 == 0 ? 0x7e : 0xfe));
        }
        assertThat(open(large, rows).linear("x", 3, 11).get(0, 0)).isEqualTo(448);
        HostTensor scale = e4m3("x.weight_scale", 3, 2);
        scale.data().put(5, (byte) 0x7f);
        refused("'x.weight_scale' holds the e4m3 code 0x7f", open(u8("x.weight_packed", 3, 4), scale, rows), 3, 8);
    }

    private static void refused(String problem, Checkpoint checkpoint, int n, int k) {
        try (checkpoint) {
            assertThat(formatError(() -> checkpoint.linear("x", n, k))).hasMessageContaining(problem);
        }
    }

    private Checkpoint open(HostTensor... tensors) {
        SafetensorsWriter.write(directory.resolve("model.safetensors"), Map.of(), List.of(tensors));
        return Checkpoint.open(directory);
    }

    private static HostTensor u8(String name, Integer... shape) {
        return bytes(name, DType.U8, shape);
    }

    private static HostTensor e4m3(String name, Integer... shape) {
        return bytes(name, DType.E4M3, shape);
    }

    private static HostTensor bytes(String name, DType dtype, Integer... shape) {
        int size = Arrays.stream(shape).reduce(1, Math::multiplyExact);
        return new HostTensor(name, dtype, List.of(shape), ByteBuffer.allocate(size));
    }

    private void index(String weightMap) {
        TestFiles.write(directory.resolve("model.safetensors.index.json"),
                ("{'weight_map': " + weightMap + "}").replace('\'', '"').getBytes());
    }
}
