package io.fireq.engine.weights;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.fireq.engine.api.ModelFormatException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URISyntaxException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;

/** Files that the tests of this package read. */
final class TestFiles {
    private static final Path SHARED_MODELS = Path.of("../../shared/models");

    private TestFiles() {}

    /** A real model of one F32 safetensors file. */
    static Path stories260k() {
        try {
            return Path.of(TestFiles.class.getResource("/models/stories260K").toURI());
        } catch (URISyntaxException e) {
            throw new IllegalStateException(e);
        }
    }

    /** A real model of five BF16 shards; skips the test where it is absent. */
    static Path ember() {
        Path ember = SHARED_MODELS.resolve("ember-29m");
        if (!Files.isDirectory(ember)) {
            System.out.println("Skipped: no " + ember.toAbsolutePath().normalize());
        }
        assumeTrue(Files.isDirectory(ember), "no " + ember);
        return ember;
    }

    /** A file with this header, single quotes standing for double ones, and so many bytes 0, 1, 2, … of data. */
    static Path safetensors(Path file, String header, int dataBytes) {
        byte[] json = header.replace('\'', '"').getBytes(StandardCharsets.UTF_8);
        ByteBuffer bytes = ByteBuffer.allocate(8 + json.length + dataBytes).order(ByteOrder.LITTLE_ENDIAN);
        bytes.putLong(json.length).put(json);
        for (int i = 0; i < dataBytes; i++) {
            bytes.put((byte) i);
        }
        return write(file, bytes.array());
    }

    static Path write(Path file, byte[] bytes) {
        try {
            return Files.write(file, bytes);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    static ModelFormatException formatError(ThrowingCallable call) {
        ModelFormatException thrown = catchThrowableOfType(ModelFormatException.class, call);
        assertThat(thrown).as("a ModelFormatException").isNotNull();
        return thrown;
    }
}
