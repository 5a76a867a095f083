package io.fireq.engine.weights;

import static io.fireq.engine.weights.TestFiles.formatError;
import static io.fireq.engine.weights.TestFiles.safetensors;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import io.fireq.engine.api.ModelFormatException;
import io.fireq.engine.api.ModelNotFoundException;
import io.fireq.engine.api.UnsupportedModelException;
import io.fireq.engine.tensor.DType;
import io.fireq.engine.tensor.HostTensor;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class SafetensorsFileTest {
    @TempDir
    private Path directory;
    private Path file;

    @BeforeEach
    void nameFile() {
        file = directory.resolve("t.safetensors");
    }

    @Test
    void reads_a_real_file() {
        try (SafetensorsFile stories = SafetensorsFile.open(TestFiles.stories260k().resolve("model.safetensors"))) {
            assertThat(stories.tensors()).hasSize(47);
            assertThat(stories.metadata()).containsEntry("format", "pt");
            HostTensor embedding = stories.tensor("model.embed_tokens.weight");
            assertThat(embedding.dtype()).isEqualTo(DType.F32);
            assertThat(embedding.shape()).containsExactly(512, 64);
            assertThat(embedding.data().isDirect()).as("mapped, not on the heap").isTrue();
            for (float value : embedding.toFloats()) {
                assertThat(value).isBetween(-10f, 10f);
            }
        }
    }

    @Test
    void reads_tensors_at_any_alignment_and_of_size_zero() {
        safetensors(file, """
                {'c': {'dtype': 'U8', 'shape': [3], 'data_offsets': [0, 3]},
                 'none': {'dtype': 'F32', 'shape': [7, 0], 'data_offsets': [3, 3]},
                 'a': {'dtype': 'F32', 'shape': [], 'data_offsets': [3, 7]},
                 'b': {'dtype': 'BF16', 'shape': [2, 1], 'data_offsets': [7, 11], 'unknown': {'x': [1]}}}   \n""", 11);
        try (SafetensorsFile opened = SafetensorsFile.open(file)) {
            assertThat(opened.tensors().keySet()).containsExactly("c", "none", "a", "b");
            assertThat(opened.tensor("c").data()).isEqualTo(ByteBuffer.wrap(new byte[] {0, 1, 2}));
            assertThat(opened.tensor("none").size()).isZero();
            assertThat(opened.tensor("a").data().getInt(0)).isEqualTo(0x06050403);
            assertThat(opened.tensor("b").data().getShort(2)).isEqualTo((short) 0x0a09);
            assertThat(opened.metadata()).isEmpty();
        }
    }

    @Test
    void a_file_without_tensors_is_fine() {
        safetensors(file, "{}", 0);
        try (SafetensorsFile opened = SafetensorsFile.open(file)) {
            assertThat(opened.tensors()).isEmpty();
            assertThat(formatError(() -> opened.tensor("x"))).hasMessageContaining("there is no tensor 'x'");
        }
    }

    @Test
    void formats_it_cannot_read_are_listed_and_refused_by_name() {
        safetensors(file, """
                {'i': {'dtype': 'I64', 'shape': [1], 'data_offsets': [0, 8]},
                 'future': {'dtype': 'F2', 'shape': [9], 'data_offsets': [8, 11]}}""", 11);
        try (SafetensorsFile opened = SafetensorsFile.open(file)) {
            assertThat(opened.tensors().keySet()).containsExactly("i", "future");
            assertThatExceptionOfType(UnsupportedModelException.class).isThrownBy(() -> opened.tensor("i"))
                    .withMessageContaining("'i' is I64; supported are F32, F16, BF16, F8_E4M3, U8");
            assertThatExceptionOfType(UnsupportedModelException.class).isThrownBy(() -> opened.tensor("future"));
        }
    }

    @Test
    void closing_stops_mapping_but_not_reading() {
        safetensors(file, "{'a': {'dtype': 'U8', 'shape': [5], 'data_offsets': [0, 5]}}", 5);
        SafetensorsFile opened = SafetensorsFile.open(file);
        HostTensor tensor = opened.tensor("a");
        opened.close();
        assertThat(tensor.data().get(4)).isEqualTo((byte) 4);
        assertThatIllegalStateException().isThrownBy(() -> opened.tensor("a")).withMessageContaining("closed");
    }

    @Test
    void a_missing_tensor_is_reported_with_similar_names() {
        try (SafetensorsFile stories = SafetensorsFile.open(TestFiles.stories260k().resolve("model.safetensors"))) {
            assertThat(formatError(() -> stories.tensor("model.layers.4.self_attn.q_prj.weight")))
                    .hasMessageContaining("model.safetensors")
                    .hasMessageContaining("no tensor 'model.layers.4.self_attn.q_prj.weight'")
                    .hasMessageContaining("of %,d are 'model.layers.4.self_attn.q_proj.weight'", 47);
        }
    }

    @Test
    void offsets_beyond_two_gigabytes_are_read() throws IOException {
        long begin = 5L << 30;
        long end = begin + 4;
        String header = ("{\"hole\": {\"dtype\": \"U8\", \"shape\": [5, 1073741824], \"data_offsets\": [0, %d]}, "
                + "\"x\": {\"dtype\": \"F32\", \"shape\": [1], \"data_offsets\": [%d, %d]}}").formatted(begin, begin, end);
        byte[] start = Files.readAllBytes(safetensors(directory.resolve("start"), header, 0));
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.SPARSE,
                StandardOpenOption.WRITE)) {
            channel.write(ByteBuffer.wrap(start));
            channel.write(ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putFloat(0, 2.5f),
                    start.length + begin);
        }
        try (SafetensorsFile opened = SafetensorsFile.open(file)) {
            assertThat(opened.tensor("x").toFloats()).containsExactly(2.5f);
            assertThatExceptionOfType(UnsupportedModelException.class).isThrownBy(() -> opened.tensor("hole"))
                    .withMessageContaining("'hole' U8 [5, 1073741824] has %,d bytes".formatted(begin));
        }
    }

    @Test
    void a_truncated_file_says_how_much_is_there() throws IOException {
        safetensors(file, """
                {'a': {'dtype': 'F32', 'shape': [2, 3], 'data_offsets': [0, 24]},
                 'b': {'dtype': 'F32', 'shape': [5], 'data_offsets': [24, 44]}}""", 44);
        long whole = Files.size(file);
        try (RandomAccessFile raw = new RandomAccessFile(file.toFile(), "rw")) {
            raw.setLength(whole - 7);
        }
        ModelFormatException error = formatError(() -> SafetensorsFile.open(file));
        assertThat(error).hasMessageContaining("t.safetensors at byte ")
                .hasMessageContaining("tensor 'b' ends at %,d but the file has %,d bytes; the download is incomplete",
                        whole, whole - 7);
        assertThat(error.offset()).isPositive();
        assertThat(error.path()).isEqualTo(file);
    }

    @Test
    void every_truncation_is_noticed() throws IOException {
        safetensors(file, "{'a': {'dtype': 'F32', 'shape': [2, 3], 'data_offsets': [0, 24]}}", 24);
        byte[] whole = Files.readAllBytes(file);
        for (int length = 0; length < whole.length; length++) {
            TestFiles.write(file, Arrays.copyOf(whole, length));
            formatError(() -> SafetensorsFile.open(file));
        }
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', value = {
        "{'a': {'dtype': 'F32', 'shape': [2], 'data_offsets': [0, 8]}, 'b': {'dtype': 'F32', 'shape': [2], "
                + "'data_offsets': [4, 12]}} | overlap",
        "{'a': {'dtype': 'F32', 'shape': [1], 'data_offsets': [0, 4]}, 'b': {'dtype': 'F32', 'shape': [1], "
                + "'data_offsets': [8, 12]}} | leave a gap",
        "{'a': {'dtype': 'F32', 'shape': [2], 'data_offsets': [0, 8]}} | ends at",
        "{'a': {'dtype': 'F32', 'shape': [2], 'data_offsets': [0, 12]}} | needs 8 bytes but its data_offsets span 12",
        "{'a': {'dtype': 'F32', 'shape': [3], 'data_offsets': [12, 0]}} | ends before that",
        "{'a': {'dtype': 'F32', 'shape': [3], 'data_offsets': [0, 9223372036854775807]}} | required are integers",
        "{'a': {'dtype': 'F32', 'shape': [3], 'data_offsets': [0, 4611686018427387903]}} | download is incomplete",
        "{'a': {'dtype': 'F32', 'shape': [3], 'data_offsets': [0, 92233720368547758070]}} | JSON cannot be read",
        "{'a': {'dtype': 'F32', 'shape': [3], 'data_offsets': [-12, 0]}} | required are integers from 0",
        "{'a': {'dtype': 'F32', 'shape': [-3], 'data_offsets': [0, 12]}} | required are integers from 0",
        "{'a': {'dtype': 'F32', 'shape': [3000000000], 'data_offsets': [0, 12]}} | required are integers from 0",
        "{'a': {'dtype': 'F32', 'shape': [2147483647, 2147483647, 2147483647], 'data_offsets': [0, 12]}} | impossible",
        "{'a': {'dtype': 'F32', 'shape': [1,1,1,1,1,1,1,1,3], 'data_offsets': [0, 12]}} | more than 8 integers",
        "{'a': {'dtype': 'F32', 'shape': [3], 'data_offsets': [0, 6, 12]}} | more than 2 integers",
        "{'a': {'dtype': 'F32', 'shape': [3], 'data_offsets': [0]}} | two data_offsets",
        "{'a': {'dtype': 'F32', 'shape': [3]}} | needs a dtype, a shape and two data_offsets",
        "{'a': {'dtype': 'F32', 'shape': [3.0], 'data_offsets': [0, 12]}} | must be an array of integers",
        "{'a': {'dtype': 'F32', 'shape': [[3]], 'data_offsets': [0, 12]}} | must be an array of integers",
        "{'a': {'dtype': 'F32', 'shape': 3, 'data_offsets': [0, 12]}} | must be an array of integers",
        "{'a': {'dtype': 7, 'shape': [3], 'data_offsets': [0, 12]}} | 'a.dtype' must be a string",
        "{'a': 7} | 'a' must be an object",
        "{'__metadata__': {'k': 7}} | '__metadata__.k' must be a string",
        "[] | must be a JSON object",
        "{'a': | JSON cannot be read",
        "{} {} | goes on after",
        "nonsense | JSON cannot be read",
        "{'a': {'dtype': 'F32', 'shape': [3], 'data_offsets': [0, 12]}, 'a': {'dtype': 'F32', 'shape': [3], "
                + "'data_offsets': [0, 12]}} | Duplicate"})
    void malformed_headers_are_refused(String header, String problem) {
        safetensors(file, header, 12);
        ModelFormatException error = formatError(() -> SafetensorsFile.open(file));
        assertThat(error).hasMessageContaining(problem).hasMessageContaining("t.safetensors at byte");
        assertThat(error.getMessage()).as("a remedy").contains("download");
    }

    @Test
    void absurd_header_lengths_are_refused_before_anything_is_allocated() {
        for (long length : new long[] {-1, Long.MAX_VALUE, Long.MIN_VALUE, 0, 1, 100_000_001, 1L << 32, 200}) {
            byte[] bytes = ByteBuffer.allocate(100).order(ByteOrder.LITTLE_ENDIAN).putLong(0, length).array();
            TestFiles.write(file, bytes);
            assertThat(formatError(() -> SafetensorsFile.open(file)).offset()).isZero();
        }
    }

    @Test
    void a_header_with_too_many_tensors_is_refused() {
        String header = IntStream.range(0, 100_001)
                .mapToObj(i -> "'%x': {'dtype': 'U8', 'shape': [0], 'data_offsets': [0, 0]}".formatted(i))
                .collect(Collectors.joining(",", "{", "}"));
        safetensors(file, header, 0);
        assertThat(formatError(() -> SafetensorsFile.open(file)))
                .hasMessageContaining("more than %,d tensors".formatted(100_000));
    }

    @Test
    void a_git_lfs_pointer_is_recognized() {
        TestFiles.write(file, "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n".getBytes());
        assertThat(formatError(() -> SafetensorsFile.open(file))).hasMessageContaining("git lfs pull");
    }

    @Test
    void an_absent_file_and_a_directory_are_told_apart() {
        assertThatExceptionOfType(ModelNotFoundException.class).isThrownBy(() -> SafetensorsFile.open(file))
                .withMessageContaining(file.toString());
        assertThat(formatError(() -> SafetensorsFile.open(directory))).hasMessageContaining("is a directory");
    }
}
