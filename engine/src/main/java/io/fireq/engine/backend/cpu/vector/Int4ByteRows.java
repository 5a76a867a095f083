package io.fireq.engine.backend.cpu.vector;

import static io.fireq.engine.backend.cpu.vector.Lanes.BYTES;
import static io.fireq.engine.backend.cpu.vector.Lanes.COUNT;
import static io.fireq.engine.backend.cpu.vector.Lanes.FLOATS;

import io.fireq.engine.backend.cpu.Int4Weight;
import io.fireq.engine.backend.cpu.KernelScratch;
import io.fireq.engine.tensor.Int4Matrix;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/**
 * INT4 rows to floats in registers, for JVMs that check the indices of every look-up (before JDK 24): one look-up
 * serves as many codes as a vector has bytes. The nibbles of a byte become two e4m3 codes, and those floats as in
 * {@link E4m3Rows}, {@link E4m3Rows#SCALE} times too small:
 *
 * <pre>{@code
 * byte b, low nibble = column 2b, high nibble = column 2b + 1     looked up: e4m3 codes
 * as ints: byte 3 - j of lane w >> 4 & fields of a float          → column 8w + 2(3 - j) + (0 low, 1 high)
 * }</pre>
 */
final class Int4ByteRows {
    /** Columns whose codes fill a vector. */
    static final int BLOCK = 8 * COUNT;

    private static final int TABLE = 16;
    private static final int LOW_NIBBLES = 0x0f0f0f0f;
    private static final ByteVector ONE_TABLE = tableOffsets(1);
    private static final ByteVector TWO_TABLES = tableOffsets(2);
    private static final ByteVector FOUR_TABLES = tableOffsets(4);

    private Int4ByteRows() {}

    /** What lanes add to their index when the vector holds the tables of so many neighbouring groups. */
    private static ByteVector tableOffsets(int tables) {
        byte[] offsets = new byte[BYTES.length()];
        for (int lane = 0; lane < offsets.length; lane++) {
            offsets[lane] = (byte) (lane * tables / offsets.length * TABLE % offsets.length);
        }
        return ByteVector.fromArray(BYTES, offsets, 0);
    }

    /** Whether one, two or four groups make up a block, and their tables fit into a vector. */
    static boolean canLookUp(Int4Matrix w) {
        int tables = BLOCK / w.groupSize();
        return w.groupSize() % BLOCK == 0
                || BLOCK % w.groupSize() == 0 && tables <= 4 && tables * TABLE <= BYTES.length();
    }

    /** The column at position {@code i} of a block. */
    static int columnAt(int i) {
        int vector = i / COUNT;
        return i % COUNT * 8 + 2 * (3 - vector % 4) + vector / 4;
    }

    /**
     * Where the tables of some rows' blocks are: those of the groups of a row lie side by side if a block has several;
     * else a group's begins at {@code codes[16 · scales[group]]}.
     */
    record Tables(byte[] codes, byte[] scales, int perBlock) {
        ByteVector offset() {
            return perBlock == 1 ? ONE_TABLE : perBlock == 2 ? TWO_TABLES : FOUR_TABLES;
        }
    }

    static Tables tables(Int4Weight weight, int row, int rows, KernelScratch scratch) {
        Int4Matrix w = weight.matrix();
        int groups = w.groups();
        byte[] scales = scratch.scales(rows * groups);
        w.scales().get(row * groups, scales, 0, rows * groups);
        if (w.groupSize() >= BLOCK) {
            return new Tables(weight.e4m3Values(), scales, 1);
        }
        byte[] sideBySide = scratch.tables(rows * groups * TABLE + BYTES.length());
        for (int i = 0; i < rows * groups; i++) {
            System.arraycopy(weight.e4m3Values(), tableAt(scales[i]), sideBySide, i * TABLE, TABLE);
        }
        return new Tables(sideBySide, scales, BLOCK / w.groupSize());
    }

    private static int tableAt(byte scale) {
        return (scale & 0xff) * TABLE;
    }

    /**
     * Inner products of four neighbouring rows with one token over the whole blocks of a row, as vectors of sums.
     *
     * @param codes the packed rows, from codesAt on
     * @param first the first of the rows, among those of tables
     * @param x     activations in column order
     * @param lanes receives four vectors
     */
    static void fourRows(Int4Matrix w, Tables tables, int first, byte[] codes, int codesAt, float[] x, float[] lanes) {
        int rowBytes = w.rowBytes();
        int blocks = w.k() / BLOCK;
        int groups = w.groups();
        byte[] values = tables.codes;
        byte[] scales = tables.scales;
        boolean sideBySide = tables.perBlock > 1;
        ByteVector offset = tables.offset();
        FloatVector s0 = FloatVector.zero(FLOATS);
        FloatVector s1 = s0;
        FloatVector s2 = s0;
        FloatVector s3 = s0;
        for (int block = 0; block < blocks; block++) {
            int at = codesAt + block * (BLOCK / 2);
            IntVector w0 = ByteVector.fromArray(BYTES, codes, at).reinterpretAsInts();
            IntVector w1 = ByteVector.fromArray(BYTES, codes, at + rowBytes).reinterpretAsInts();
            IntVector w2 = ByteVector.fromArray(BYTES, codes, at + 2 * rowBytes).reinterpretAsInts();
            IntVector w3 = ByteVector.fromArray(BYTES, codes, at + 3 * rowBytes).reinterpretAsInts();
            int g0 = first * groups + block * BLOCK / w.groupSize();
            int g1 = g0 + groups;
            int g2 = g1 + groups;
            int g3 = g2 + groups;
            ByteVector t0 = ByteVector.fromArray(BYTES, values, sideBySide ? g0 * TABLE : tableAt(scales[g0]));
            ByteVector t1 = ByteVector.fromArray(BYTES, values, sideBySide ? g1 * TABLE : tableAt(scales[g1]));
            ByteVector t2 = ByteVector.fromArray(BYTES, values, sideBySide ? g2 * TABLE : tableAt(scales[g2]));
            ByteVector t3 = ByteVector.fromArray(BYTES, values, sideBySide ? g3 * TABLE : tableAt(scales[g3]));
            for (int nibble = 0; nibble < 2; nibble++) {
                IntVector e0 = w0.and(LOW_NIBBLES).reinterpretAsBytes().or(offset).selectFrom(t0).reinterpretAsInts();
                IntVector e1 = w1.and(LOW_NIBBLES).reinterpretAsBytes().or(offset).selectFrom(t1).reinterpretAsInts();
                IntVector e2 = w2.and(LOW_NIBBLES).reinterpretAsBytes().or(offset).selectFrom(t2).reinterpretAsInts();
                IntVector e3 = w3.and(LOW_NIBBLES).reinterpretAsBytes().or(offset).selectFrom(t3).reinterpretAsInts();
                for (int j = 0; j < 4; j++) {
                    FloatVector xj = FloatVector.fromArray(FLOATS, x, block * BLOCK + (nibble * 4 + j) * COUNT);
                    s0 = e0.lanewise(VectorOperators.ASHR, 4).and(E4m3Rows.FIELDS).reinterpretAsFloats().fma(xj, s0);
                    s1 = e1.lanewise(VectorOperators.ASHR, 4).and(E4m3Rows.FIELDS).reinterpretAsFloats().fma(xj, s1);
                    s2 = e2.lanewise(VectorOperators.ASHR, 4).and(E4m3Rows.FIELDS).reinterpretAsFloats().fma(xj, s2);
                    s3 = e3.lanewise(VectorOperators.ASHR, 4).and(E4m3Rows.FIELDS).reinterpretAsFloats().fma(xj, s3);
                    e0 = e0.lanewise(VectorOperators.LSHL, 8);
                    e1 = e1.lanewise(VectorOperators.LSHL, 8);
                    e2 = e2.lanewise(VectorOperators.LSHL, 8);
                    e3 = e3.lanewise(VectorOperators.LSHL, 8);
                }
                w0 = w0.lanewise(VectorOperators.LSHR, 4);
                w1 = w1.lanewise(VectorOperators.LSHR, 4);
                w2 = w2.lanewise(VectorOperators.LSHR, 4);
                w3 = w3.lanewise(VectorOperators.LSHR, 4);
            }
        }
        s0.intoArray(lanes, 0);
        s1.intoArray(lanes, COUNT);
        s2.intoArray(lanes, 2 * COUNT);
        s3.intoArray(lanes, 3 * COUNT);
    }

    /** Decodes the whole blocks of one row, the first of {@code tables}, in column order, over {@link E4m3Rows#SCALE}. */
    static void decode(Int4Matrix w, Tables tables, byte[] codes, float[] target, int targetAt) {
        ByteVector offset = tables.offset();
        for (int block = 0; block < w.k() / BLOCK; block++) {
            IntVector packed = ByteVector.fromArray(BYTES, codes, block * (BLOCK / 2)).reinterpretAsInts();
            int group = block * BLOCK / w.groupSize();
            ByteVector table = ByteVector.fromArray(BYTES, tables.codes,
                    tables.perBlock > 1 ? group * TABLE : tableAt(tables.scales[group]));
            for (int nibble = 0; nibble < 2; nibble++) {
                IntVector e4m3 =
                        packed.and(LOW_NIBBLES).reinterpretAsBytes().or(offset).selectFrom(table).reinterpretAsInts();
                for (int j = 0; j < 4; j++) {
                    e4m3.lanewise(VectorOperators.ASHR, 4).and(E4m3Rows.FIELDS).reinterpretAsFloats()
                            .intoArray(target, targetAt + block * BLOCK + (nibble * 4 + j) * COUNT);
                    e4m3 = e4m3.lanewise(VectorOperators.LSHL, 8);
                }
                packed = packed.lanewise(VectorOperators.LSHR, 4);
            }
        }
    }
}
