package io.fireq.engine.chat;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.math.BigDecimal;
import java.util.Iterator;
import java.util.Map;

/**
 * JSON as Python's {@code json.dumps(value, ensure_ascii=False)} spells it: models were trained on that spelling, and
 * {@code {"a":1}} is other tokens than {@code {"a": 1}}.
 *
 * <p>Values are maps with string keys, iterables, strings, numbers, booleans and null; maps keep their order.
 */
final class PythonJson {
    /** Limits are for text that a model or a stranger wrote. */
    static final JsonMapper MAPPER = JsonMapper.builder(JsonFactory.builder()
                    .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                    .streamReadConstraints(StreamReadConstraints.builder()
                            .maxNestingDepth(64)
                            .maxStringLength(1 << 20)
                            .maxNumberLength(100)
                            .maxDocumentLength(4 << 20)
                            .build())
                    .build())
            .enable(DeserializationFeature.USE_BIG_DECIMAL_FOR_FLOATS)
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
            .build();

    private final StringBuilder out = new StringBuilder();
    /** Spaces per level; below 0 everything is on one line. */
    private final int indent;

    private PythonJson(int indent) {
        this.indent = indent;
    }

    static String oneLine(Object value) {
        return indented(value, -1);
    }

    static String indented(Object value, int indent) {
        PythonJson json = new PythonJson(indent);
        json.write(value, 0);
        return json.out.toString();
    }

    /** @throws IllegalArgumentException the text is not JSON; {@code what} says whose */
    static Object parse(String what, String text) {
        try {
            return MAPPER.readValue(text, Object.class);
        } catch (JsonProcessingException e) {
            throw new IllegalArgumentException("%s: not valid JSON: %s".formatted(what, e.getOriginalMessage()), e);
        }
    }

    private void write(Object value, int level) {
        if (value == null) {
            out.append("null");
        } else if (value instanceof Map<?, ?> map) {
            writeMap(map, level);
        } else if (value instanceof Iterable<?> list) {
            writeList(list, level);
        } else if (value instanceof Boolean flag) {
            out.append(flag.booleanValue());
        } else if (value instanceof BigDecimal || value instanceof Double || value instanceof Float) {
            out.append(floatText(new BigDecimal(value.toString())));
        } else if (value instanceof Number number) {
            out.append(number);
        } else {
            writeString(value.toString());
        }
    }

    private void writeMap(Map<?, ?> map, int level) {
        out.append('{');
        for (Iterator<? extends Map.Entry<?, ?>> entries = map.entrySet().iterator(); entries.hasNext(); ) {
            Map.Entry<?, ?> entry = entries.next();
            newLine(level + 1);
            writeString(String.valueOf(entry.getKey()));
            out.append(": ");
            write(entry.getValue(), level + 1);
            separator(entries.hasNext());
        }
        close('}', map.isEmpty(), level);
    }

    private void writeList(Iterable<?> list, int level) {
        out.append('[');
        boolean empty = true;
        for (Iterator<?> items = list.iterator(); items.hasNext(); ) {
            empty = false;
            newLine(level + 1);
            write(items.next(), level + 1);
            separator(items.hasNext());
        }
        close(']', empty, level);
    }

    private void separator(boolean more) {
        if (more) {
            out.append(indent < 0 ? ", " : ",");
        }
    }

    private void close(char bracket, boolean empty, int level) {
        if (!empty) {
            newLine(level);
        }
        out.append(bracket);
    }

    private void newLine(int level) {
        if (indent >= 0) {
            out.append('\n').append(" ".repeat(indent * level));
        }
    }

    /** Python writes the shortest digits, positional from 1e-4 up to 1e16, and always shows that it is a float. */
    private static String floatText(BigDecimal value) {
        if (value.signum() == 0) {
            return "0.0";
        }
        BigDecimal digits = value.stripTrailingZeros();
        int exponent = digits.precision() - digits.scale() - 1;
        if (exponent >= -4 && exponent < 16) {
            return digits.setScale(Math.max(1, digits.scale())).toPlainString();
        }
        String unscaled = digits.unscaledValue().abs().toString();
        String mantissa = unscaled.length() == 1 ? unscaled : unscaled.charAt(0) + "." + unscaled.substring(1);
        return "%s%se%s%02d".formatted(digits.signum() < 0 ? "-" : "", mantissa, exponent < 0 ? "-" : "+",
                Math.abs(exponent));
    }

    private void writeString(String text) {
        out.append('"');
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            switch (c) {
                case '"' -> out.append("\\\"");
                case '\\' -> out.append("\\\\");
                case '\n' -> out.append("\\n");
                case '\r' -> out.append("\\r");
                case '\t' -> out.append("\\t");
                case '\b' -> out.append("\\b");
                case '\f' -> out.append("\\f");
                default -> {
                    if (c < 0x20) {
                        out.append("\\u%04x".formatted((int) c));
                    } else {
                        out.append(c);
                    }
                }
            }
        }
        out.append('"');
    }
}
