package io.fireq.engine.tokenizer;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * Turns tokens into text as they come; never half a character. Whatever way a sequence is cut, the pieces put together
 * are {@link Tokenizer#decode} of the whole. Malformed bytes become U+FFFD as {@code new String(bytes, UTF_8)} has it.
 *
 * <p>One sequence, one thread.
 */
public final class StreamingDetokenizer {
    private final Tokenizer tokenizer;
    private int spacesToStrip;
    /** Start of a character whose last bytes have not come yet. */
    private byte[] pending = {};

    private StreamingDetokenizer(Tokenizer tokenizer, int spacesToStrip) {
        this.tokenizer = tokenizer;
        this.spacesToStrip = spacesToStrip;
    }

    /** For a text of its own: the space that SentencePiece puts in front of every text is taken off. */
    public static StreamingDetokenizer forWholeText(Tokenizer tokenizer) {
        return new StreamingDetokenizer(tokenizer, tokenizer.leadingSpaces());
    }

    /** For tokens that follow others, as a completion follows its prompt: a leading space separates words and stays. */
    public static StreamingDetokenizer forContinuation(Tokenizer tokenizer) {
        return new StreamingDetokenizer(tokenizer, 0);
    }

    /**
     * @param tokenId a token; special tokens have no text
     * @return the text that is complete now; may be empty
     */
    public String push(int tokenId) {
        byte[] bytes = tokenizer.bytesOf(tokenId);
        int from = 0;
        while (spacesToStrip > 0 && from < bytes.length) {
            if (bytes[from] == ' ') {
                from++;
                spacesToStrip--;
            } else {
                spacesToStrip = 0;
            }
        }
        if (from == bytes.length) {
            return "";
        }
        byte[] all = Arrays.copyOf(pending, pending.length + bytes.length - from);
        System.arraycopy(bytes, from, all, pending.length, bytes.length - from);
        int complete = completeLength(all);
        pending = Arrays.copyOfRange(all, complete, all.length);
        return new String(all, 0, complete, StandardCharsets.UTF_8);
    }

    /** @return what was held back; an unfinished character as U+FFFD. Later tokens start a new character. */
    public String finish() {
        String rest = new String(pending, StandardCharsets.UTF_8);
        pending = new byte[0];
        return rest;
    }

    /**
     * A lead byte always starts a new character, so cutting in front of one never changes how the rest decodes.
     *
     * @return how many bytes may be decoded now: all, or all before a last lead byte that still lacks followers
     */
    private static int completeLength(byte[] bytes) {
        for (int back = 1; back <= Math.min(3, bytes.length); back++) {
            int value = bytes[bytes.length - back] & 0xFF;
            if (value < 0x80) {
                return bytes.length;
            }
            if (value >= 0xC0) {
                int needed = value >= 0xF0 ? 4 : value >= 0xE0 ? 3 : 2;
                return back < needed ? bytes.length - back : bytes.length;
            }
        }
        return bytes.length;
    }
}
