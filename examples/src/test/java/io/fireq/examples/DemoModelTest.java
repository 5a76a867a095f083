package io.fireq.examples;

import static org.assertj.core.api.Assertions.assertThat;

import io.fireq.engine.api.EngineOptions.CpuKernelChoice;
import io.fireq.engine.quant.OfflineQuantizer;
import io.fireq.engine.quant.QuantizerOptions;
import io.fireq.engine.weights.Checkpoint;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The embedded model is what the model card says it is. */
class DemoModelTest {
    private static final Path DEMO = Path.of("src/main/resources/models/ember");
    private static final Path SOURCE = Path.of("../../shared/models/ember-29m");

    @TempDir
    Path directory;

    @Test
    void its_checksums_match() {
        try (Checkpoint checkpoint = Checkpoint.open(DEMO)) {
            assertThat(checkpoint.verifyChecksums()).isPositive();
            assertThat(checkpoint.quantization()).hasValueSatisfying(q -> assertThat(q.profile()).isEqualTo("best"));
        }
    }

    @Test
    void the_quantizer_reproduces_it_byte_for_byte() throws IOException {
        boolean present = Files.isDirectory(SOURCE);
        if (!present) {
            System.out.println("Skipped: the unquantized checkpoint is not at " + SOURCE);
        }
        Assumptions.assumeTrue(present, "no " + SOURCE);
        Path target = directory.resolve("ember");
        // Plain kernels: the sums of the others depend on the machine's vectors.
        QuantizerOptions options = QuantizerOptions.builder().kernels(CpuKernelChoice.PLAIN).build();
        new OfflineQuantizer(options, (report, done, total) -> {}).quantize(SOURCE, target);
        assertThat(fileNames(target)).isEqualTo(fileNames(DEMO));
        for (String name : fileNames(DEMO)) {
            assertThat(Files.mismatch(target.resolve(name), DEMO.resolve(name))).as(name).isEqualTo(-1);
        }
    }

    private static List<String> fileNames(Path directory) throws IOException {
        try (Stream<Path> files = Files.list(directory)) {
            return files.map(file -> file.getFileName().toString()).sorted().toList();
        }
    }
}
