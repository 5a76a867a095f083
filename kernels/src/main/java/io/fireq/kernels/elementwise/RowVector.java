package io.fireq.kernels.elementwise;

/** How many neighbours of a row a thread handles at once. */
final class RowVector {
    /** Eight bf16 are one access of 16 bytes. */
    static final int WIDE = 8;
    /** For rows whose width or address does not allow it. */
    static final int NARROW = 1;

    /** Vectors of a row that a thread keeps in registers. */
    static final int FEW = 2;
    /** For rows that are longer. */
    static final int MANY = 8;

    private RowVector() {}

    static boolean isWide(int width) {
        return width % WIDE == 0;
    }
}
