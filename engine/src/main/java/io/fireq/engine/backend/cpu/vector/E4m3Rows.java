package io.fireq.engine.backend.cpu.vector;

import static io.fireq.engine.backend.cpu.vector.Lanes.BYTES;
import static io.fireq.engine.backend.cpu.vector.Lanes.COUNT;
import static io.fireq.engine.backend.cpu.vector.Lanes.FLOATS;

import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/**
 * e4m3 rows to floats in registers: a byte's exponent and mantissa, moved to a float's, are the value times 2⁻¹²⁰,
 * subnormals included. The factor is taken back from the sums. Byte j of the 32-bit lane w is column 4w + j;
 * activations come in that order.
 */
final class E4m3Rows {
    /** Columns whose codes fill a vector. */
    static final int BLOCK = 4 * COUNT;
    /** What sums of products with decoded rows are to be multiplied with. */
    static final float SCALE = 0x1p120f;

    /** Where a float has its sign, the low four exponent bits and the high three mantissa bits. */
    static final int FIELDS = 0x87f00000;

    private E4m3Rows() {}

    /** The column at position {@code i} of a block. */
    static int columnAt(int i) {
        return i % COUNT * 4 + i / COUNT;
    }

    /** Inner products of four neighbouring rows of k codes with one token, over whole blocks, as vectors of sums. */
    static void fourRows(byte[] codes, int codesAt, int k, float[] x, float[] lanes) {
        FloatVector s0 = FloatVector.zero(FLOATS);
        FloatVector s1 = s0;
        FloatVector s2 = s0;
        FloatVector s3 = s0;
        for (int column = 0; column + BLOCK <= k; column += BLOCK) {
            IntVector w0 = ByteVector.fromArray(BYTES, codes, codesAt + column).reinterpretAsInts();
            IntVector w1 = ByteVector.fromArray(BYTES, codes, codesAt + k + column).reinterpretAsInts();
            IntVector w2 = ByteVector.fromArray(BYTES, codes, codesAt + 2 * k + column).reinterpretAsInts();
            IntVector w3 = ByteVector.fromArray(BYTES, codes, codesAt + 3 * k + column).reinterpretAsInts();
            for (int j = 0; j < 4; j++) {
                FloatVector xj = FloatVector.fromArray(FLOATS, x, column + j * COUNT);
                s0 = w0.lanewise(VectorOperators.LSHL, 24 - 8 * j).lanewise(VectorOperators.ASHR, 4).and(FIELDS)
                        .reinterpretAsFloats().fma(xj, s0);
                s1 = w1.lanewise(VectorOperators.LSHL, 24 - 8 * j).lanewise(VectorOperators.ASHR, 4).and(FIELDS)
                        .reinterpretAsFloats().fma(xj, s1);
                s2 = w2.lanewise(VectorOperators.LSHL, 24 - 8 * j).lanewise(VectorOperators.ASHR, 4).and(FIELDS)
                        .reinterpretAsFloats().fma(xj, s2);
                s3 = w3.lanewise(VectorOperators.LSHL, 24 - 8 * j).lanewise(VectorOperators.ASHR, 4).and(FIELDS)
                        .reinterpretAsFloats().fma(xj, s3);
            }
        }
        s0.intoArray(lanes, 0);
        s1.intoArray(lanes, COUNT);
        s2.intoArray(lanes, 2 * COUNT);
        s3.intoArray(lanes, 3 * COUNT);
    }

    /** Decodes the whole blocks of a row of k codes, in column order, over {@link #SCALE}. */
    static void decode(byte[] codes, int codesAt, int k, float[] target, int targetAt) {
        for (int column = 0; column + BLOCK <= k; column += BLOCK) {
            IntVector packed = ByteVector.fromArray(BYTES, codes, codesAt + column).reinterpretAsInts();
            for (int j = 0; j < 4; j++) {
                packed.lanewise(VectorOperators.LSHL, 24 - 8 * j).lanewise(VectorOperators.ASHR, 4).and(FIELDS)
                        .reinterpretAsFloats().intoArray(target, targetAt + column + j * COUNT);
            }
        }
    }
}
