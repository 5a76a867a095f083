package io.fireq.kernels.elementwise;

/** How many neighbours of a row a thread handles at once. */
final class RowVector {
    /** Eight bf16 are one access of 16 bytes. */
    static final int WIDE = 8;
    /** For rows whose width or address does not allow it. */
    static final int NARROW = 1;

    private RowVector() {}

    static boolean isWide(int width) {
        return width % WIDE == 0;
    }
}
