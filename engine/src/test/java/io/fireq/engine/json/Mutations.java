package io.fireq.engine.json;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/** Documents damaged at random. */
public final class Mutations {
    private static final List<String> FRAGMENTS = List.of("{", "}", "[", "]", ",", ":", "\"", "-", "0", "1e9", "1e999",
            "4294967296", "2147483647", "9223372036854775807", "99999999999999999999", "null", "true", "\"BF16\"",
            "\"F4\"", "\"\"", "\\u0000", "\"data_offsets\"", "\"shape\"", "\"__metadata__\"", "[[[[[[[[[[[[", " ",
            "\u00ff", "{\"a\":", "\"a\"");

    private Mutations() {}

    /** One to three edits: a byte changed, a stretch deleted, doubled or replaced by something JSON-like. */
    public static byte[] of(byte[] bytes, Random random) {
        byte[] mutant = bytes;
        for (int edits = 1 + random.nextInt(3); edits > 0; edits--) {
            int from = random.nextInt(mutant.length + 1);
            int to = Math.min(mutant.length, from + random.nextInt(12));
            byte[] replacement = switch (random.nextInt(4)) {
                case 0 -> new byte[] {(byte) random.nextInt()};
                case 1 -> new byte[0];
                case 2 -> Arrays.copyOfRange(mutant, Math.max(0, from - random.nextInt(40)), to);
                default -> FRAGMENTS.get(random.nextInt(FRAGMENTS.size())).getBytes(StandardCharsets.UTF_8);
            };
            ByteBuffer spliced = ByteBuffer.allocate(from + replacement.length + mutant.length - to);
            mutant = spliced.put(mutant, 0, from).put(replacement).put(mutant, to, mutant.length - to).array();
        }
        return mutant;
    }
}
