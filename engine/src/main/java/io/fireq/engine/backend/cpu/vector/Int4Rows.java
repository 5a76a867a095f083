package io.fireq.engine.backend.cpu.vector;

import static io.fireq.engine.backend.cpu.vector.Lanes.COUNT;
import static io.fireq.engine.backend.cpu.vector.Lanes.SHORTS;

import io.fireq.engine.backend.cpu.Int4Weight;
import io.fireq.engine.backend.cpu.KernelScratch;
import io.fireq.engine.tensor.Int4Matrix;

/** INT4 rows by whichever of the two kinds of look-up is faster here; one kind for the life of the JVM. */
final class Int4Rows {
    /** Columns that are decoded together, and reordered among themselves. */
    static final int BLOCK = 8 * COUNT;

    private static final int FIRST_JDK_WITHOUT_INDEX_CHECKS = 24;
    /** A vector of shorts must hold a table of sixteen. */
    private static final boolean BY_SHORTS =
            Runtime.version().feature() >= FIRST_JDK_WITHOUT_INDEX_CHECKS && SHORTS.length() >= 16;

    /** What sums of products with decoded rows are to be multiplied with. */
    static final float SCALE = BY_SHORTS ? 1 : E4m3Rows.SCALE;

    private Int4Rows() {}

    /** Whether a vector can look up this matrix's groups. */
    static boolean canLookUp(Int4Matrix w) {
        return BY_SHORTS ? Int4ShortRows.canLookUp(w) : Int4ByteRows.canLookUp(w);
    }

    /** The column at position {@code i} of a block. */
    static int columnAt(int i) {
        return BY_SHORTS ? Int4ShortRows.columnAt(i) : Int4ByteRows.columnAt(i);
    }

    /**
     * Inner products of some rows, in fours, with one token, where k is a multiple of {@link #BLOCK}.
     *
     * @param codes the packed rows
     * @param x     activations in column order
     * @param y     receives a product per row, from {@code yAt} on
     */
    static void multiply(Int4Weight weight, int row, int rows, byte[] codes, float[] x, float[] y, int yAt,
            KernelScratch scratch) {
        Int4Matrix w = weight.matrix();
        float[] lanes = scratch.lanes();
        if (BY_SHORTS) {
            Int4ShortRows.Tables tables = Int4ShortRows.tables(weight, row, rows, scratch);
            for (int r = 0; r < rows; r += 4) {
                Int4ShortRows.fourRows(w, tables, r, codes, r * w.rowBytes(), x, lanes);
                sumLanes(lanes, y, yAt + r);
            }
        } else {
            Int4ByteRows.Tables tables = Int4ByteRows.tables(weight, row, rows, scratch);
            for (int r = 0; r < rows; r += 4) {
                Int4ByteRows.fourRows(w, tables, r, codes, r * w.rowBytes(), x, lanes);
                sumLanes(lanes, y, yAt + r);
            }
        }
    }

    private static void sumLanes(float[] lanes, float[] y, int yAt) {
        for (int r = 0; r < 4; r++) {
            y[yAt + r] = SCALE * Lanes.sum(lanes, r * COUNT);
        }
    }

    /** Decodes one row into column order, over {@link #SCALE}. */
    static void decode(Int4Weight weight, int row, byte[] codes, float[] target, int at, KernelScratch scratch) {
        Int4Matrix w = weight.matrix();
        int decoded = 0;
        if (canLookUp(w)) {
            if (BY_SHORTS) {
                Int4ShortRows.decode(w, Int4ShortRows.tables(weight, row, 1, scratch), codes, target, at);
            } else {
                Int4ByteRows.decode(w, Int4ByteRows.tables(weight, row, 1, scratch), codes, target, at);
            }
            decoded = w.k() - w.k() % BLOCK;
        }
        decodeByElement(weight, row, codes, decoded, target, at);
    }

    /** Group sizes that no vector lines up with, and the columns behind the last whole block. */
    private static void decodeByElement(Int4Weight weight, int row, byte[] codes, int from, float[] target, int at) {
        Int4Matrix w = weight.matrix();
        int blocksEnd = w.k() - w.k() % BLOCK;
        for (int i = from; i < w.k(); i++) {
            int column = i < blocksEnd ? i / BLOCK * BLOCK + columnAt(i % BLOCK) : i;
            int scaleCode = w.scales().get(row * w.groups() + column / w.groupSize()) & 0xff;
            int nibble = codes[column / 2] >>> (column & 1) * 4 & 15;
            target[at + i] = weight.values()[scaleCode * 16 + nibble] / SCALE;
        }
    }
}
