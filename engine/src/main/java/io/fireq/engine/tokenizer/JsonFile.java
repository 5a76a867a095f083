package io.fireq.engine.tokenizer;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.fireq.engine.api.ModelFormatException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Reads the JSON files beside a model; they come from strangers, so size, depth and lengths are bounded. */
final class JsonFile {
    /** The largest tokenizer.json in use holds 262,144 entries in 33 MB. */
    private static final long MAX_BYTES = 128L << 20;

    static final JsonMapper MAPPER = JsonMapper.builder(JsonFactory.builder()
                    // A vocabulary has a hundred thousand field names, each of them once; interning them takes longer than the rest.
                    .disable(JsonFactory.Feature.INTERN_FIELD_NAMES)
                    .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                    .streamReadConstraints(StreamReadConstraints.builder()
                            .maxDocumentLength(MAX_BYTES)
                            .maxNestingDepth(64)
                            .maxStringLength(4 << 20)
                            .maxNameLength(64 << 10)
                            .maxNumberLength(100)
                            .build())
                    .build())
            .build();

    private JsonFile() {}

    /** @return the object in the file */
    static ObjectNode read(Path file) {
        try {
            long sizeBytes = Files.size(file);
            if (sizeBytes > MAX_BYTES) {
                throw new ModelFormatException(file, -1,
                        "file has %,d bytes but at most %,d are read; is this the right file?"
                                .formatted(sizeBytes, MAX_BYTES));
            }
            JsonNode root = MAPPER.readTree(Files.readAllBytes(file));
            if (root instanceof ObjectNode object) {
                return object;
            }
            throw new ModelFormatException(file, 0, "expected a JSON object but found %s; fetch the file again"
                    .formatted(root == null ? "nothing" : root.getNodeType()));
        } catch (JsonProcessingException e) {
            long offset = e.getLocation() == null ? -1 : e.getLocation().getByteOffset();
            throw new ModelFormatException(file, offset,
                    "not valid JSON: %s; fetch the file again".formatted(e.getOriginalMessage()), e);
        } catch (IOException e) {
            throw new UncheckedIOException("%s: cannot be read".formatted(file), e);
        }
    }
}
