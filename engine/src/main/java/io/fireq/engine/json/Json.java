package io.fireq.engine.json;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.core.util.DefaultIndenter;
import com.fasterxml.jackson.core.util.DefaultPrettyPrinter;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.fireq.engine.api.FireqException;
import io.fireq.engine.api.ModelFormatException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

/** Entry points of JSON reading and writing. */
public final class Json {
    private static final int MAX_NAME_LENGTH = 16 << 10;
    private static final int MAX_NUMBER_LENGTH = 100;
    private static final JsonMapper MAPPER =
            JsonMapper.builder().enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS).build();
    private static final String REMEDY = "the file is damaged or was not downloaded completely; fetch it again";

    private Json() {}

    /**
     * Reads a file whose content is one JSON object.
     *
     * @throws ModelFormatException for anything that is not JSON, holds a name twice or is beyond the limits
     * @throws FireqException       when the file cannot be read
     */
    public static JsonObject readObject(Path path, JsonLimits limits) {
        return readObject(path, readBytes(path, limits), limits);
    }

    /**
     * As {@link #readObject(Path, JsonLimits)}, of a document in memory.
     *
     * @param path where it is from, for messages
     */
    public static JsonObject readObject(Path path, byte[] bytes, JsonLimits limits) {
        try (JsonParser parser = parser(bytes, limits)) {
            JsonNode tree = MAPPER.readTree(parser);
            if (tree instanceof ObjectNode object) {
                return new JsonObject(path, bytes, limits, object);
            }
            throw new ModelFormatException(path, 0, "the file must hold a JSON object, it holds "
                    + (tree == null ? "nothing" : "a JSON " + tree.getNodeType().name()) + "; " + REMEDY);
        } catch (JsonProcessingException e) {
            throw malformed(path, 0, e);
        } catch (IOException e) {
            throw new FireqException("Parsing %s: %s".formatted(path, e.getMessage()), e);
        }
    }

    private static byte[] readBytes(Path path, JsonLimits limits) {
        try (InputStream in = Files.newInputStream(path)) {
            byte[] bytes = in.readNBytes(limits.maxBytes() + 1); // not Files.size: a pipe or a growing file has none
            if (bytes.length > limits.maxBytes()) {
                throw new ModelFormatException(path, limits.maxBytes(),
                        "the file is longer than %,d bytes, the most that is read of such a file; check that it is "
                                .formatted(limits.maxBytes()) + "what its name says");
            }
            return bytes;
        } catch (IOException e) {
            throw new FireqException("Reading %s: %s; check that it is a readable file".formatted(path, e), e);
        }
    }

    /** A pull parser with limits over a document in memory, for files too large for a tree. */
    public static JsonParser parser(byte[] document, JsonLimits limits) {
        try {
            return factory(limits).createParser(document);
        } catch (IOException e) {
            throw new IllegalStateException("A parser over an array of bytes reads nothing before it is asked to", e);
        }
    }

    /**
     * What a parser's exception means to the user.
     *
     * @param documentOffset where the document begins in the file
     */
    public static ModelFormatException malformed(Path path, long documentOffset, JsonProcessingException e) {
        long offset = e.getLocation() == null ? -1 : e.getLocation().getByteOffset();
        return new ModelFormatException(path, offset < 0 ? documentOffset : documentOffset + offset,
                "the JSON cannot be read: %s; %s".formatted(e.getOriginalMessage(), REMEDY), e);
    }

    /** Readable JSON text of maps, lists, strings, numbers and booleans; the same bytes on every machine. */
    public static String write(Map<String, ?> object) {
        DefaultIndenter indenter = new DefaultIndenter("  ", "\n");
        DefaultPrettyPrinter printer = new DefaultPrettyPrinter().withObjectIndenter(indenter);
        try {
            return MAPPER.writer(printer).writeValueAsString(object) + "\n";
        } catch (JsonProcessingException e) {
            throw new IllegalArgumentException("Writing JSON: " + e.getOriginalMessage(), e);
        }
    }

    private static JsonFactory factory(JsonLimits limits) {
        // A factory for each document: its table of names is filled by untrusted input and must not outlive it.
        return JsonFactory.builder()
                .streamReadConstraints(StreamReadConstraints.builder()
                        .maxDocumentLength(limits.maxBytes())
                        .maxTokenCount(limits.maxTokens())
                        .maxNestingDepth(limits.maxDepth())
                        .maxStringLength(limits.maxStringLength())
                        .maxNameLength(MAX_NAME_LENGTH)
                        .maxNumberLength(MAX_NUMBER_LENGTH)
                        .build())
                .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                .disable(JsonFactory.Feature.INTERN_FIELD_NAMES)
                .build();
    }
}
