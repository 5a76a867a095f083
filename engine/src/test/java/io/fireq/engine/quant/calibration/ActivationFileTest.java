package io.fireq.engine.quant.calibration;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.fireq.engine.api.FireqException;
import io.fireq.engine.quant.calibration.ActivationFile.Format;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ActivationFileTest {
    @TempDir
    Path directory;

    @Test
    void windows_come_back_in_any_order() {
        Path path = directory.resolve("activations");
        try (ActivationFile file = ActivationFile.create(path, Format.F32, 3)) {
            file.write(2, new float[] {7, 8, 9}, 3);
            file.write(0, new float[] {1.1f, -2.2f, 3.3f}, 3);
            file.write(1, new float[] {4, 5, 6}, 2);
            file.force();
        }
        try (ActivationFile file = ActivationFile.open(path, Format.F32, 3)) {
            float[] window = new float[3];
            file.read(0, window, 3);
            assertThat(window).containsExactly(1.1f, -2.2f, 3.3f);
            file.read(2, window, 3);
            assertThat(window).containsExactly(7, 8, 9);
            file.read(1, window, 2);
            assertThat(window).containsExactly(4, 5, 9);
        }
    }

    @Test
    void bfloat16_is_exact_for_what_is_bfloat16() {
        try (ActivationFile file = ActivationFile.create(directory.resolve("bf16"), Format.BF16, 2)) {
            file.write(0, new float[] {1.0078125f, 1.001f}, 2);
            float[] window = new float[2];
            file.read(0, window, 2);
            assertThat(window).containsExactly(1.0078125f, 1);
        }
    }

    @Test
    void a_file_that_ends_early_is_an_error() throws IOException {
        Path path = directory.resolve("short");
        Files.write(path, new byte[20]);
        try (ActivationFile file = ActivationFile.open(path, Format.F32, 4)) {
            file.read(0, new float[4], 4);
            assertThatThrownBy(() -> file.read(1, new float[4], 4)).isInstanceOf(FireqException.class)
                    .hasMessageContaining("ends inside of window 1");
        }
        assertThatThrownBy(() -> ActivationFile.open(directory.resolve("none"), Format.F32, 4))
                .isInstanceOf(FireqException.class).hasMessageContaining("none");
    }
}
