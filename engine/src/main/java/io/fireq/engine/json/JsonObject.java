package io.fireq.engine.json;

import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonPointer;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.fireq.engine.api.ModelFormatException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.Set;

/**
 * An object within a JSON file, read by typed getters. A getter throws {@link ModelFormatException} with the value's
 * byte offset when the value has another type or is out of range; {@code null} counts as absent. Immutable.
 */
public final class JsonObject {
    private final Path path;
    private final byte[] document;
    private final JsonLimits limits;
    private final ObjectNode node;
    private final JsonPointer pointer;

    JsonObject(Path path, byte[] document, JsonLimits limits, ObjectNode node) {
        this(path, document, limits, node, JsonPointer.empty());
    }

    private JsonObject(Path path, byte[] document, JsonLimits limits, ObjectNode node, JsonPointer pointer) {
        this.path = path;
        this.document = document;
        this.limits = limits;
        this.node = node;
        this.pointer = pointer;
    }

    /** The file it was read from. */
    public Path path() {
        return path;
    }

    /** Names in the order of the file. */
    public Set<String> keys() {
        Set<String> keys = new LinkedHashSet<>();
        node.fieldNames().forEachRemaining(keys::add);
        return keys;
    }

    /** Whether there is a value other than null. */
    public boolean has(String key) {
        return node.hasNonNull(key);
    }

    public int requireInt(String key, int min, int max) {
        return toInt(key, required(key), min, max);
    }

    public int intOr(String key, int fallback, int min, int max) {
        return has(key) ? requireInt(key, min, max) : fallback;
    }

    public double requireDouble(String key, double min, double max) {
        JsonNode value = required(key);
        double number = value.doubleValue();
        if (!value.isNumber() || !(number >= min && number <= max)) {
            throw malformed(key, "is %s; required is a number from %s to %s".formatted(brief(value), min, max));
        }
        return number;
    }

    public double doubleOr(String key, double fallback, double min, double max) {
        return has(key) ? requireDouble(key, min, max) : fallback;
    }

    /** The number, or empty when it is absent. */
    public OptionalDouble optionalDouble(String key) {
        return has(key)
                ? OptionalDouble.of(requireDouble(key, -Double.MAX_VALUE, Double.MAX_VALUE))
                : OptionalDouble.empty();
    }

    public boolean booleanOr(String key, boolean fallback) {
        if (!has(key)) {
            return fallback;
        }
        if (!node.get(key).isBoolean()) {
            throw malformed(key, "is %s; required is true or false".formatted(brief(node.get(key))));
        }
        return node.get(key).booleanValue();
    }

    public String requireString(String key) {
        JsonNode value = required(key);
        if (!value.isTextual()) {
            throw malformed(key, "is %s; required is a string".formatted(brief(value)));
        }
        return value.textValue();
    }

    /** The string, or empty when it is absent. */
    public Optional<String> string(String key) {
        return has(key) ? Optional.of(requireString(key)) : Optional.empty();
    }

    /** The strings of an array; empty when it is absent. */
    public List<String> strings(String key) {
        List<String> strings = new ArrayList<>();
        for (JsonNode value : array(key)) {
            if (!value.isTextual()) {
                throw malformed(key, "holds %s; required are strings".formatted(brief(value)));
            }
            strings.add(value.textValue());
        }
        return List.copyOf(strings);
    }

    /** The integers of an array, or the one of a plain integer; empty when it is absent. */
    public int[] ints(String key, int min, int max) {
        if (has(key) && node.get(key).isNumber()) {
            return new int[] {requireInt(key, min, max)};
        }
        List<JsonNode> values = array(key);
        int[] ints = new int[values.size()];
        for (int i = 0; i < ints.length; i++) {
            ints[i] = toInt(key, values.get(i), min, max);
        }
        return ints;
    }

    public JsonObject requireObject(String key) {
        return view(key, pointer.appendProperty(key), required(key));
    }

    /** The object, or empty when it is absent. */
    public Optional<JsonObject> object(String key) {
        return has(key) ? Optional.of(requireObject(key)) : Optional.empty();
    }

    /** The objects of an array; empty when it is absent. */
    public List<JsonObject> objects(String key) {
        List<JsonNode> values = array(key);
        List<JsonObject> objects = new ArrayList<>();
        for (int i = 0; i < values.size(); i++) {
            objects.add(view(key, pointer.appendProperty(key).appendIndex(i), values.get(i)));
        }
        return List.copyOf(objects);
    }

    /** Everything in it as maps, lists, strings, numbers, booleans and nulls, in the order of the file. */
    public Map<String, Object> toMap() {
        Map<String, Object> map = new LinkedHashMap<>();
        for (Map.Entry<String, JsonNode> entry : node.properties()) {
            map.put(entry.getKey(), toJava(entry.getValue()));
        }
        return map;
    }

    /** An exception about the value of a key, or about this object where it has no such key. */
    public ModelFormatException malformed(String key, String problem) {
        JsonPointer at = node.has(key) ? pointer.appendProperty(key) : pointer;
        String name = pointer.appendProperty(key).toString().substring(1).replace('/', '.');
        return new ModelFormatException(path, offsetOf(at), "'%s' %s; correct the file or fetch it again"
                .formatted(name, problem));
    }

    private JsonNode required(String key) {
        if (!has(key)) {
            throw malformed(key, "is missing");
        }
        return node.get(key);
    }

    private int toInt(String key, JsonNode value, int min, int max) {
        if (!value.isNumber() || !value.canConvertToExactIntegral() || !value.canConvertToInt()
                || value.intValue() < min || value.intValue() > max) {
            throw malformed(key, "is %s; required is an integer from %,d to %,d".formatted(brief(value), min, max));
        }
        return value.intValue();
    }

    private List<JsonNode> array(String key) {
        List<JsonNode> values = new ArrayList<>();
        if (has(key)) {
            if (!node.get(key).isArray()) {
                throw malformed(key, "is %s; required is an array".formatted(brief(node.get(key))));
            }
            node.get(key).forEach(values::add);
        }
        return values;
    }

    private JsonObject view(String key, JsonPointer at, JsonNode value) {
        if (value instanceof ObjectNode object) {
            return new JsonObject(path, document, limits, object, at);
        }
        throw malformed(key, "is %s; required is an object".formatted(brief(value)));
    }

    private static Object toJava(JsonNode value) {
        if (value.isObject()) {
            Map<String, Object> map = new LinkedHashMap<>();
            for (Map.Entry<String, JsonNode> entry : value.properties()) {
                map.put(entry.getKey(), toJava(entry.getValue()));
            }
            return map;
        }
        if (value.isArray()) {
            List<Object> list = new ArrayList<>();
            value.forEach(element -> list.add(toJava(element)));
            return list;
        }
        if (value.isNumber()) {
            return value.numberValue();
        }
        if (value.isBoolean()) {
            return value.booleanValue();
        }
        return value.isNull() ? null : value.textValue();
    }

    private static String brief(JsonNode value) {
        if (value.isContainerNode()) {
            return value.isArray() ? "an array" : "an object";
        }
        String text = value.toString();
        return text.length() <= 80 ? text : text.substring(0, 80) + "…";
    }

    /** Trees do not remember where they came from: only an error pays for looking it up. */
    private long offsetOf(JsonPointer wanted) {
        try (JsonParser parser = Json.parser(document, limits)) {
            for (JsonToken token = parser.nextToken(); token != null; token = parser.nextToken()) {
                boolean value = token != JsonToken.FIELD_NAME && !token.isStructEnd();
                if (value && parser.getParsingContext().pathAsPointer().equals(wanted)) {
                    return parser.currentTokenLocation().getByteOffset();
                }
            }
        } catch (IOException e) {
            throw new IllegalStateException("%s could be parsed before".formatted(path), e);
        }
        return -1;
    }
}
