package io.fireq.engine.weights;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import io.fireq.engine.api.FireqException;
import io.fireq.engine.api.ModelFormatException;
import io.fireq.engine.json.Json;
import io.fireq.engine.json.JsonLimits;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The parsed header of a safetensors file, checked against the file's length:
 *
 * <pre>
 *   byte 0       length L of the header, 8 bytes little-endian
 *   byte 8       JSON object of L bytes, spaces at its end allowed:
 *                { "name": {"dtype": "BF16", "shape": [8, 4], "data_offsets": [begin, end]}, …,
 *                  "__metadata__": {"key": "value", …} }
 *   byte 8 + L   data; begin and end count from here; tensors fill it without gap or overlap
 * </pre>
 *
 * @param tensors  by name, in the order of their data
 * @param metadata the free-form strings of {@code __metadata__}
 */
record SafetensorsHeader(Map<String, TensorInfo> tensors, Map<String, String> metadata) {
    static final int LENGTH_BYTES = 8;
    /** The limit of the reference implementation. */
    static final int MAX_HEADER_BYTES = 100_000_000;
    static final String METADATA = "__metadata__";

    private static final int MAX_TENSORS = 100_000;
    private static final int MAX_RANK = 8;
    private static final JsonLimits LIMITS = new JsonLimits(MAX_HEADER_BYTES, 20 * MAX_TENSORS, 8, 16 << 20);
    private static final String DAMAGED = "the file is damaged; download it again";

    /** Bits of one element of the formats that safetensors names; unknown ones are listed without a check of size. */
    private static final Map<String, Integer> BITS = Map.ofEntries(
            Map.entry("BOOL", 8), Map.entry("U8", 8), Map.entry("I8", 8), Map.entry("U16", 16), Map.entry("I16", 16),
            Map.entry("U32", 32), Map.entry("I32", 32), Map.entry("U64", 64), Map.entry("I64", 64),
            Map.entry("F16", 16), Map.entry("BF16", 16), Map.entry("F32", 32), Map.entry("F64", 64),
            Map.entry("C64", 64), Map.entry("F8_E4M3", 8), Map.entry("F8_E5M2", 8), Map.entry("F8_E8M0", 8),
            Map.entry("F4", 4), Map.entry("F6_E2M3", 6), Map.entry("F6_E3M2", 6));

    /**
     * @param path      the file, for messages
     * @param header    its JSON part
     * @param fileBytes length of the whole file
     */
    static SafetensorsHeader parse(Path path, byte[] header, long fileBytes) {
        try (JsonParser json = Json.parser(header, LIMITS)) {
            return new Reader(path, json, LENGTH_BYTES + header.length, fileBytes).read();
        } catch (JsonProcessingException e) {
            throw Json.malformed(path, LENGTH_BYTES, e);
        } catch (IOException e) {
            throw new FireqException("Parsing the header of %s: %s".formatted(path, e.getMessage()), e);
        }
    }

    private static final class Reader {
        private final Path path;
        private final JsonParser json;
        private final long dataOffset;
        private final long fileBytes;
        private final List<TensorInfo> tensors = new ArrayList<>();
        private Map<String, String> metadata = Map.of();

        Reader(Path path, JsonParser json, long dataOffset, long fileBytes) {
            this.path = path;
            this.json = json;
            this.dataOffset = dataOffset;
            this.fileBytes = fileBytes;
        }

        SafetensorsHeader read() throws IOException {
            if (json.nextToken() != JsonToken.START_OBJECT) {
                throw malformed("the header must be a JSON object; this is no safetensors file, or " + DAMAGED);
            }
            while (json.nextToken() == JsonToken.FIELD_NAME) {
                String name = json.currentName();
                json.nextToken();
                if (name.equals(METADATA)) {
                    metadata = readMetadata();
                } else {
                    tensors.add(readTensor(name));
                }
                if (tensors.size() > MAX_TENSORS) {
                    throw malformed("the header lists more than %,d tensors, the most that is read of one file; "
                            .formatted(MAX_TENSORS) + DAMAGED);
                }
            }
            if (json.nextToken() != null) {
                throw malformed("the header goes on after its JSON object; " + DAMAGED);
            }
            tensors.sort(Comparator.comparingLong(TensorInfo::offset).thenComparingLong(TensorInfo::byteSize));
            requireSeamless();
            Map<String, TensorInfo> byName = new LinkedHashMap<>();
            tensors.forEach(tensor -> byName.put(tensor.name(), tensor));
            return new SafetensorsHeader(Collections.unmodifiableMap(byName), metadata);
        }

        private Map<String, String> readMetadata() throws IOException {
            requireToken(JsonToken.START_OBJECT, METADATA, "an object");
            Map<String, String> strings = new LinkedHashMap<>();
            while (json.nextToken() == JsonToken.FIELD_NAME) {
                String key = json.currentName();
                json.nextToken();
                requireToken(JsonToken.VALUE_STRING, METADATA + "." + key, "a string");
                strings.put(key, json.getText());
            }
            return Collections.unmodifiableMap(strings);
        }

        private TensorInfo readTensor(String name) throws IOException {
            requireToken(JsonToken.START_OBJECT, name, "an object");
            String dtype = null;
            List<Integer> shape = null;
            List<Long> offsets = null;
            while (json.nextToken() == JsonToken.FIELD_NAME) {
                String key = json.currentName();
                json.nextToken();
                switch (key) {
                    case "dtype" -> {
                        requireToken(JsonToken.VALUE_STRING, name + ".dtype", "a string");
                        dtype = json.getText();
                    }
                    case "shape" -> shape = readLongs(name + ".shape", MAX_RANK, Integer.MAX_VALUE)
                            .stream().map(Long::intValue).toList();
                    case "data_offsets" -> offsets = readLongs(name + ".data_offsets", 2, Long.MAX_VALUE / 2);
                    default -> json.skipChildren();
                }
            }
            if (dtype == null || shape == null || offsets == null || offsets.size() != 2) {
                throw malformed("tensor '%s' needs a dtype, a shape and two data_offsets; %s".formatted(name, DAMAGED));
            }
            return checked(name, dtype, shape, offsets.get(0), offsets.get(1));
        }

        private TensorInfo checked(String name, String dtype, List<Integer> shape, long begin, long end) {
            if (end < begin) {
                throw malformed("tensor '%s' begins at %,d and ends before that at %,d; %s"
                        .formatted(name, begin, end, DAMAGED));
            }
            if (dataOffset + end > fileBytes) {
                throw malformed("tensor '%s' ends at %,d but the file has %,d bytes; the download is incomplete"
                        .formatted(name, dataOffset + end, fileBytes));
            }
            Integer bits = BITS.get(dtype);
            if (bits != null && end - begin != byteSize(name, shape, bits)) {
                throw malformed("tensor '%s' %s %s needs %,d bytes but its data_offsets span %,d; %s"
                        .formatted(name, dtype, shape, byteSize(name, shape, bits), end - begin, DAMAGED));
            }
            return new TensorInfo(name, dtype, shape, dataOffset + begin, end - begin);
        }

        private long byteSize(String name, List<Integer> shape, int bits) {
            try {
                long total = shape.contains(0) ? 0 : bits;
                for (int dim : shape) {
                    total = Math.multiplyExact(total, (long) dim);
                }
                return (total + 7) / 8;
            } catch (ArithmeticException e) {
                throw malformed("tensor '%s' has the impossible shape %s; %s".formatted(name, shape, DAMAGED));
            }
        }

        private List<Long> readLongs(String what, int maxCount, long max) throws IOException {
            requireToken(JsonToken.START_ARRAY, what, "an array of integers");
            List<Long> values = new ArrayList<>();
            while (json.nextToken() != JsonToken.END_ARRAY) {
                requireToken(JsonToken.VALUE_NUMBER_INT, what, "an array of integers");
                long value = json.getLongValue();
                if (value < 0 || value > max) {
                    throw malformed("'%s' holds %,d; required are integers from 0 to %,d; %s"
                            .formatted(what, value, max, DAMAGED));
                }
                if (values.size() == maxCount) {
                    throw malformed("'%s' holds more than %d integers; %s".formatted(what, maxCount, DAMAGED));
                }
                values.add(value);
            }
            return values;
        }

        private void requireSeamless() {
            long end = dataOffset;
            String before = "the header";
            for (TensorInfo tensor : tensors) {
                if (tensor.offset() != end) {
                    throw new ModelFormatException(path, tensor.offset(),
                            "tensor '%s' begins at %,d but %s ends at %,d, so that they %s; %s".formatted(tensor.name(),
                                    tensor.offset(), before, end, tensor.offset() < end ? "overlap" : "leave a gap",
                                    DAMAGED));
                }
                end = tensor.end();
                before = "tensor '" + tensor.name() + "'";
            }
            if (end != fileBytes) {
                throw new ModelFormatException(path, end, "%s ends at %,d but the file has %,d bytes; %s"
                        .formatted(before, end, fileBytes, DAMAGED));
            }
        }

        private void requireToken(JsonToken token, String what, String required) {
            if (json.currentToken() != token) {
                throw malformed("'%s' must be %s; %s".formatted(what, required, DAMAGED));
            }
        }

        private ModelFormatException malformed(String problem) {
            long inHeader = Math.max(json.currentTokenLocation().getByteOffset(), 0);
            return new ModelFormatException(path, LENGTH_BYTES + inHeader, problem);
        }
    }
}
