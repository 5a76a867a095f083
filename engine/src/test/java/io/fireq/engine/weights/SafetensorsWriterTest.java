package io.fireq.engine.weights;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import io.fireq.engine.tensor.DType;
import io.fireq.engine.tensor.HostTensor;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SafetensorsWriterTest {
    @TempDir
    private Path directory;
    private Path file;

    @BeforeEach
    void nameFile() {
        file = directory.resolve("t.safetensors");
    }

    @Test
    void written_files_read_back_in_a_fixed_order_with_aligned_data() throws IOException {
        HostTensor bytes = new HostTensor("a", DType.U8, List.of(3), ByteBuffer.wrap(new byte[] {1, 2, 3}));
        HostTensor halves = new HostTensor("z", DType.BF16, List.of(1, 2), ByteBuffer.wrap(new byte[] {4, 5, 6, 7}));
        HostTensor floats = HostTensor.ofFloats("m", List.of(2), new float[] {1.5f, -2});
        HostTensor fp8 = new HostTensor("e", DType.E4M3, List.of(1), ByteBuffer.wrap(new byte[] {0x38}));
        HostTensor half = new HostTensor("h", DType.F16, List.of(1), ByteBuffer.wrap(new byte[] {0, 0x3c}));
        HostTensor empty = new HostTensor("n", DType.F32, List.of(0), ByteBuffer.allocate(0));
        List<HostTensor> tensors = List.of(bytes, halves, floats, fp8, half, empty);
        Map<String, String> metadata = Map.of("quote", "\"ü\"", "format", "pt");
        SafetensorsWriter.write(file, metadata, tensors);
        try (SafetensorsFile opened = SafetensorsFile.open(file)) {
            assertThat(opened.metadata()).isEqualTo(metadata);
            assertThat(opened.tensors().keySet()).containsExactlyInAnyOrder("a", "z", "m", "e", "h", "n");
            for (HostTensor tensor : tensors) {
                assertThat(opened.tensor(tensor.name())).isEqualTo(tensor);
                TensorInfo info = opened.tensors().get(tensor.name());
                assertThat(info.offset() % tensor.dtype().bytes()).as("alignment of %s", info).isZero();
            }
            assertThat(opened.tensors().values().iterator().next().offset() % 64).isZero();
        }
        Path reversed = directory.resolve("reversed.safetensors");
        SafetensorsWriter.write(reversed, metadata, List.of(empty, half, fp8, floats, halves, bytes));
        assertThat(Files.mismatch(file, reversed)).as("depends on the order of tensors").isEqualTo(-1);
        try (Stream<Path> files = Files.list(directory)) {
            assertThat(files).as("temporary files are gone").containsExactlyInAnyOrder(file, reversed);
        }
    }

    @Test
    void an_unfinished_file_leaves_nothing() throws IOException {
        try (SafetensorsWriter writer = SafetensorsWriter.create(file, Map.of())) {
            writer.add(HostTensor.ofFloats("a", List.of(1), new float[] {1}));
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> writer.add(HostTensor.ofFloats("a", List.of(1), new float[] {2})))
                    .withMessageContaining("the name of tensor 'a'");
        }
        assertThat(directory).isEmptyDirectory();
    }
}
