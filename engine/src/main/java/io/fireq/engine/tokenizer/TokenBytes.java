package io.fireq.engine.tokenizer;

import com.fasterxml.jackson.databind.JsonNode;
import io.fireq.engine.api.UnsupportedModelException;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.regex.Pattern;

/**
 * The bytes that every token stands for. Immutable, but the arrays are not copied.
 *
 * <p>A token may be part of a character, so text exists only once bytes are put together.
 *
 * @param byId          bytes per token id; empty for special tokens and for ids without a token
 * @param leadingSpaces how many spaces at the very start of a text belong to the format, not to the text
 */
record TokenBytes(byte[][] byId, int leadingSpaces) {
    private static final byte[] NONE = {};
    private static final Pattern BYTE_TOKEN = Pattern.compile("<0x[0-9A-Fa-f]{2}>");

    static TokenBytes of(Path file, TokenizerJson json) {
        List<JsonNode> steps = new ArrayList<>();
        flatten(json.decoder(), steps);
        List<String> types = steps.stream().map(step -> step.path("type").asText()).toList();
        if (types.equals(List.of("ByteLevel"))) {
            return table(json, TokenBytes::fromByteAlphabet, 0);
        }
        List<String> sentencePiece = List.of("Replace", "ByteFallback", "Fuse");
        boolean strips = types.size() == 4 && types.get(3).equals("Strip");
        if (types.size() >= 3 && types.subList(0, 3).equals(sentencePiece) && (types.size() == 3 || strips)
                && steps.get(0).path("pattern").path("String").asText().equals("▁")
                && steps.get(0).path("content").asText().equals(" ")
                && (!strips || stripsLeadingSpacesOnly(steps.get(3)))) {
            return table(json, TokenBytes::fromSentencePiece, strips ? steps.get(3).path("start").asInt() : 0);
        }
        throw new UnsupportedModelException(
                "%s: decoder is %s but FireQ reads ByteLevel and [Replace ▁, ByteFallback, Fuse, Strip]; use a Llama tokenizer"
                        .formatted(file, types.isEmpty() ? "absent" : types));
    }

    private static void flatten(JsonNode decoder, List<JsonNode> steps) {
        if ("Sequence".equals(decoder.path("type").asText())) {
            decoder.path("decoders").forEach(child -> flatten(child, steps));
        } else if (decoder.isObject()) {
            steps.add(decoder);
        }
    }

    private static boolean stripsLeadingSpacesOnly(JsonNode strip) {
        return strip.path("content").asText().equals(" ")
                && strip.path("start").asInt() >= 0
                && strip.path("stop").asInt() == 0;
    }

    private static TokenBytes table(TokenizerJson json, Function<String, byte[]> decode, int leadingSpaces) {
        int vocabSize = json.idOfToken().values().stream().mapToInt(Integer::intValue).max().orElse(-1) + 1;
        byte[][] byId = new byte[vocabSize][];
        Arrays.fill(byId, NONE);
        json.idOfToken().forEach((token, id) -> byId[id] = decode.apply(token));
        json.addedText().forEach((id, text) -> byId[id] = text.getBytes(StandardCharsets.UTF_8));
        json.specials().forEach(special -> byId[special.id()] = NONE);
        return new TokenBytes(byId, leadingSpaces);
    }

    /** GPT-2 writes every byte as a printable character; a token with any other character stands for itself. */
    private static byte[] fromByteAlphabet(String token) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream(token.length());
        for (int i = 0; i < token.length(); i++) {
            Integer value = ByteAlphabet.BYTE_OF.get(token.charAt(i));
            if (value == null) {
                return token.getBytes(StandardCharsets.UTF_8);
            }
            bytes.write(value);
        }
        return bytes.toByteArray();
    }

    private static byte[] fromSentencePiece(String token) {
        if (BYTE_TOKEN.matcher(token).matches()) {
            return new byte[] {(byte) Integer.parseInt(token.substring(3, 5), 16)};
        }
        return token.replace('▁', ' ').getBytes(StandardCharsets.UTF_8);
    }

    /**
     * Bytes that are printable in Latin-1 are written as that character, the other 68 as U+0100, U+0101, ... in order.
     */
    private static final class ByteAlphabet {
        static final Map<Character, Integer> BYTE_OF = build();

        private static Map<Character, Integer> build() {
            Map<Character, Integer> byteOf = new HashMap<>();
            char next = 0x100;
            for (int value = 0; value < 256; value++) {
                boolean printable = value > 0x20 && value < 0x7F || value > 0xA0 && value != 0xAD;
                byteOf.put(printable ? (char) value : next++, value);
            }
            return Map.copyOf(byteOf);
        }
    }
}
