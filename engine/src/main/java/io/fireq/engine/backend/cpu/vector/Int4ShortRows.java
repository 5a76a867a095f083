package io.fireq.engine.backend.cpu.vector;

import static io.fireq.engine.backend.cpu.vector.Lanes.BYTES;
import static io.fireq.engine.backend.cpu.vector.Lanes.COUNT;
import static io.fireq.engine.backend.cpu.vector.Lanes.FLOATS;
import static io.fireq.engine.backend.cpu.vector.Lanes.SHORTS;

import io.fireq.engine.backend.cpu.Int4Weight;
import io.fireq.engine.backend.cpu.KernelScratch;
import io.fireq.engine.tensor.Int4Matrix;
import java.util.Arrays;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorOperators;

/**
 * INT4 rows to floats in registers, for JVMs that look up without index checks (JDK 24 and newer). A vector of packed bytes is taken as 16-bit lanes; each of the four nibbles of a
 * lane looks up a bfloat16 in the group's value table, which a vector holds whole, and two bfloat16 make two floats:
 *
 * <pre>{@code
 * lane s, nibble j = column 4s + j          shorts  (v >>> 4j & 15) looked up
 * as ints:  low half  = short 2w, column 8w + j       << 16       → float vector 2j
 *           high half = short 2w+1, column 8w + 4 + j & ffff0000  → float vector 2j + 1
 * }</pre>
 *
 * Activations are put into that column order once per layer instead of the weights at every use.
 *
 * <p>The hot loops call no helper that takes or returns vectors: where the JIT compiler does not inline one, each vector
 * becomes an object.
 */
final class Int4ShortRows {
    /** Columns whose codes fill a vector. */
    static final int BLOCK = 8 * COUNT;

    private static final int TABLE = 16;
    private static final int HIGH_HALF = 0xffff0000;
    /** Lanes of shorts, and so the length of a table in a vector: one table of 16, or two of neighbouring groups. */
    private static final int LOOKUP = SHORTS.length();
    private static final ShortVector SECOND_TABLE = secondTable();

    private Int4ShortRows() {}

    /** What lanes add to their index when the vector holds two tables. */
    private static ShortVector secondTable() {
        short[] offsets = new short[LOOKUP];
        Arrays.fill(offsets, Math.min(TABLE, LOOKUP), LOOKUP, (short) TABLE);
        return ShortVector.fromArray(SHORTS, offsets, 0);
    }

    /** Whether one or two groups make up a block, and their tables fit into a vector. */
    static boolean canLookUp(Int4Matrix w) {
        return LOOKUP >= TABLE && w.groupSize() % BLOCK == 0 || LOOKUP >= 2 * TABLE && w.groupSize() * 2 == BLOCK;
    }

    /** The column at position {@code i} of a block. */
    static int columnAt(int i) {
        int vector = i / COUNT;
        return i % COUNT * 8 + vector % 2 * 4 + vector / 2;
    }

    /**
     * Where the tables of some rows' blocks are: table {@code i} begins at {@code codes[i · LOOKUP]} if split, one for
     * each block of each row; else at {@code codes[16 · scales[i]]}, one for each group of each row.
     */
    record Tables(short[] codes, byte[] scales, boolean split) {}

    static Tables tables(Int4Weight weight, int row, int rows, KernelScratch scratch) {
        Int4Matrix w = weight.matrix();
        int groups = w.groups();
        byte[] scales = scratch.scales(rows * groups);
        w.scales().get(row * groups, scales, 0, rows * groups);
        if (w.groupSize() >= BLOCK) {
            return new Tables(weight.bf16Values(), scales, false);
        }
        // Groups of half a block: copies the tables of two neighbours together.
        short[] pairs = scratch.shorts(rows * groups * TABLE + LOOKUP);
        for (int i = 0; i < rows * groups; i++) {
            System.arraycopy(weight.bf16Values(), tableAt(scales[i]), pairs, i * TABLE, TABLE);
        }
        return new Tables(pairs, scales, true);
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
        short[] values = tables.codes;
        byte[] scales = tables.scales;
        boolean split = tables.split;
        ShortVector offset = tables.split ? SECOND_TABLE : ShortVector.zero(SHORTS);
        FloatVector s0 = FloatVector.zero(FLOATS);
        FloatVector s1 = s0;
        FloatVector s2 = s0;
        FloatVector s3 = s0;
        for (int block = 0; block < blocks; block++) {
            int at = codesAt + block * (BLOCK / 2);
            ShortVector w0 = ByteVector.fromArray(BYTES, codes, at).reinterpretAsShorts();
            ShortVector w1 = ByteVector.fromArray(BYTES, codes, at + rowBytes).reinterpretAsShorts();
            ShortVector w2 = ByteVector.fromArray(BYTES, codes, at + 2 * rowBytes).reinterpretAsShorts();
            ShortVector w3 = ByteVector.fromArray(BYTES, codes, at + 3 * rowBytes).reinterpretAsShorts();
            int pair = (first * blocks + block) * LOOKUP;
            int pairs = blocks * LOOKUP;
            int scale = first * groups + block * BLOCK / w.groupSize();
            ShortVector t0 = ShortVector.fromArray(SHORTS, values, split ? pair : tableAt(scales[scale]));
            ShortVector t1 =
                    ShortVector.fromArray(SHORTS, values, split ? pair + pairs : tableAt(scales[scale + groups]));
            ShortVector t2 =
                    ShortVector.fromArray(SHORTS, values, split ? pair + 2 * pairs : tableAt(scales[scale + 2 * groups]));
            ShortVector t3 =
                    ShortVector.fromArray(SHORTS, values, split ? pair + 3 * pairs : tableAt(scales[scale + 3 * groups]));
            for (int j = 0; j < 4; j++) {
                IntVector p0 = w0.and((short) 15).or(offset).selectFrom(t0).reinterpretAsInts();
                IntVector p1 = w1.and((short) 15).or(offset).selectFrom(t1).reinterpretAsInts();
                IntVector p2 = w2.and((short) 15).or(offset).selectFrom(t2).reinterpretAsInts();
                IntVector p3 = w3.and((short) 15).or(offset).selectFrom(t3).reinterpretAsInts();
                FloatVector low = FloatVector.fromArray(FLOATS, x, block * BLOCK + 2 * j * COUNT);
                s0 = p0.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(low, s0);
                s1 = p1.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(low, s1);
                s2 = p2.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(low, s2);
                s3 = p3.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(low, s3);
                FloatVector high = FloatVector.fromArray(FLOATS, x, block * BLOCK + (2 * j + 1) * COUNT);
                s0 = p0.and(HIGH_HALF).reinterpretAsFloats().fma(high, s0);
                s1 = p1.and(HIGH_HALF).reinterpretAsFloats().fma(high, s1);
                s2 = p2.and(HIGH_HALF).reinterpretAsFloats().fma(high, s2);
                s3 = p3.and(HIGH_HALF).reinterpretAsFloats().fma(high, s3);
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

    /** Decodes the whole blocks of one row, the first of {@code tables}, in column order. */
    static void decode(Int4Matrix w, Tables tables, byte[] codes, float[] target, int targetAt) {
        ShortVector offset = tables.split ? SECOND_TABLE : ShortVector.zero(SHORTS);
        for (int block = 0; block < w.k() / BLOCK; block++) {
            ShortVector packed = ByteVector.fromArray(BYTES, codes, block * (BLOCK / 2)).reinterpretAsShorts();
            int tableAt = tables.split ? block * LOOKUP : tableAt(tables.scales[block * BLOCK / w.groupSize()]);
            ShortVector table = ShortVector.fromArray(SHORTS, tables.codes, tableAt);
            for (int j = 0; j < 4; j++) {
                IntVector pairs = packed.and((short) 15).or(offset).selectFrom(table).reinterpretAsInts();
                int to = targetAt + block * BLOCK + 2 * j * COUNT;
                pairs.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().intoArray(target, to);
                pairs.and(HIGH_HALF).reinterpretAsFloats().intoArray(target, to + COUNT);
                packed = packed.lanewise(VectorOperators.LSHR, 4);
            }
        }
    }
}
