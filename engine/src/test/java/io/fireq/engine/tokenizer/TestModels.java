package io.fireq.engine.tokenizer;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.IntStream;

/** Where the tests find their models and golden outputs. */
public final class TestModels {
    private static final Path SHARED = Path.of("../../shared");

    private TestModels() {}

    /** Tokenizer, template and configuration of Ember-29M; no weights. */
    public static Path ember() {
        return resource("/models/ember-tokenizer");
    }

    /** stories260K with its tokenizer in both formats; the test is skipped where it is absent. */
    public static Path stories260k() {
        return TestModels.class.getResource("/models/stories260K/tokenizer.model") == null
                ? shared("models/stories260K")
                : resource("/models/stories260K");
    }

    /** Outputs of transformers for Ember-29M. */
    public static JsonNode emberGolden() {
        return JsonFile.read(resource("/golden/ember-golden.json"));
    }

    public static Path resource(String name) {
        try {
            return Path.of(TestModels.class.getResource(name).toURI());
        } catch (URISyntaxException e) {
            throw new IllegalStateException(name, e);
        }
    }

    /** A folder outside the repository; the test is skipped where it is absent. */
    public static Path shared(String folder) {
        Path path = SHARED.resolve(folder);
        boolean present = Files.isDirectory(path);
        if (!present) {
            System.out.printf("Skipped: %s is not on this machine%n", path);
        }
        assumeTrue(present, () -> path + " is not on this machine");
        return path;
    }

    public static int[] ints(JsonNode array) {
        return IntStream.range(0, array.size()).map(i -> array.get(i).intValue()).toArray();
    }

    public static JsonNode json(Path file) {
        try {
            return JsonFile.MAPPER.readTree(Files.readAllBytes(file));
        } catch (IOException e) {
            throw new IllegalStateException(file.toString(), e);
        }
    }
}
