package io.fireq.engine.quant.imports;

import java.nio.ByteBuffer;

/** 4-bit numbers in words of 32 bits. */
final class Nibbles {
    static final int PER_WORD = 8;

    private Nibbles() {}

    /** Nibble {@code place} of word {@code index}, 0..15; place 0 is the lowest. */
    static int get(ByteBuffer words, int index, int place) {
        return words.getInt(index * Integer.BYTES) >>> 4 * place & 15;
    }

    /** Words that hold {@code count} nibbles. */
    static int words(int count) {
        return (count + PER_WORD - 1) / PER_WORD;
    }
}
