package io.fireq.engine.backend.cpu.vector;

import static io.fireq.engine.backend.cpu.vector.Lanes.COUNT;
import static io.fireq.engine.backend.cpu.vector.Lanes.FLOATS;

import jdk.incubator.vector.FloatVector;

/**
 * Inner products of float rows, four by four in registers: eight loads feed sixteen multiply-adds.
 *
 * <p>Every product is one vector of sums that takes its columns in ascending steps of a vector, then the sum of its
 * lanes, then the columns left over, whatever tile it falls into.
 */
final class RowProducts {
    private RowProducts() {}

    /**
     * {@code y[yOffset + i·yStride + j] = factor · Σ_c a[aOffset + i·aStride + c] · b[bOffset + j·bStride + c]}.
     *
     * @param lanes scratch for sixteen vectors
     */
    static void multiply(float[] a, int aOffset, int aStride, int m, float[] b, int bOffset, int bStride, int n, int k,
            float factor, float[] y, int yOffset, int yStride, float[] lanes) {
        int vectorK = FLOATS.loopBound(k);
        for (int i = 0; i < m; i += 4) {
            for (int j = 0; j < n; j += 4) {
                int is = Math.min(4, m - i);
                int js = Math.min(4, n - j);
                int aAt = aOffset + i * aStride;
                int bAt = bOffset + j * bStride;
                if (is == 4 && js == 4) {
                    fourByFour(a, aAt, aStride, b, bAt, bStride, vectorK, lanes);
                } else {
                    for (int ii = 0; ii < is; ii++) {
                        if (js == 4) {
                            oneByFour(a, aAt + ii * aStride, b, bAt, bStride, vectorK, lanes, ii * 4 * COUNT);
                        } else {
                            for (int jj = 0; jj < js; jj++) {
                                one(a, aAt + ii * aStride, b, bAt + jj * bStride, vectorK, lanes, (ii * 4 + jj) * COUNT);
                            }
                        }
                    }
                }
                for (int ii = 0; ii < is; ii++) {
                    for (int jj = 0; jj < js; jj++) {
                        float sum = Lanes.sum(lanes, (ii * 4 + jj) * COUNT);
                        for (int c = vectorK; c < k; c++) {
                            sum += a[aAt + ii * aStride + c] * b[bAt + jj * bStride + c];
                        }
                        y[yOffset + (i + ii) * yStride + j + jj] = factor * sum;
                    }
                }
            }
        }
    }

    private static void fourByFour(float[] a, int aAt, int aStride, float[] b, int bAt, int bStride, int k,
            float[] lanes) {
        FloatVector s00 = FloatVector.zero(FLOATS);
        FloatVector s01 = s00;
        FloatVector s02 = s00;
        FloatVector s03 = s00;
        FloatVector s10 = s00;
        FloatVector s11 = s00;
        FloatVector s12 = s00;
        FloatVector s13 = s00;
        FloatVector s20 = s00;
        FloatVector s21 = s00;
        FloatVector s22 = s00;
        FloatVector s23 = s00;
        FloatVector s30 = s00;
        FloatVector s31 = s00;
        FloatVector s32 = s00;
        FloatVector s33 = s00;
        for (int c = 0; c < k; c += COUNT) {
            FloatVector b0 = FloatVector.fromArray(FLOATS, b, bAt + c);
            FloatVector b1 = FloatVector.fromArray(FLOATS, b, bAt + bStride + c);
            FloatVector b2 = FloatVector.fromArray(FLOATS, b, bAt + 2 * bStride + c);
            FloatVector b3 = FloatVector.fromArray(FLOATS, b, bAt + 3 * bStride + c);
            FloatVector a0 = FloatVector.fromArray(FLOATS, a, aAt + c);
            s00 = b0.fma(a0, s00);
            s01 = b1.fma(a0, s01);
            s02 = b2.fma(a0, s02);
            s03 = b3.fma(a0, s03);
            FloatVector a1 = FloatVector.fromArray(FLOATS, a, aAt + aStride + c);
            s10 = b0.fma(a1, s10);
            s11 = b1.fma(a1, s11);
            s12 = b2.fma(a1, s12);
            s13 = b3.fma(a1, s13);
            FloatVector a2 = FloatVector.fromArray(FLOATS, a, aAt + 2 * aStride + c);
            s20 = b0.fma(a2, s20);
            s21 = b1.fma(a2, s21);
            s22 = b2.fma(a2, s22);
            s23 = b3.fma(a2, s23);
            FloatVector a3 = FloatVector.fromArray(FLOATS, a, aAt + 3 * aStride + c);
            s30 = b0.fma(a3, s30);
            s31 = b1.fma(a3, s31);
            s32 = b2.fma(a3, s32);
            s33 = b3.fma(a3, s33);
        }
        s00.intoArray(lanes, 0);
        s01.intoArray(lanes, COUNT);
        s02.intoArray(lanes, 2 * COUNT);
        s03.intoArray(lanes, 3 * COUNT);
        s10.intoArray(lanes, 4 * COUNT);
        s11.intoArray(lanes, 5 * COUNT);
        s12.intoArray(lanes, 6 * COUNT);
        s13.intoArray(lanes, 7 * COUNT);
        s20.intoArray(lanes, 8 * COUNT);
        s21.intoArray(lanes, 9 * COUNT);
        s22.intoArray(lanes, 10 * COUNT);
        s23.intoArray(lanes, 11 * COUNT);
        s30.intoArray(lanes, 12 * COUNT);
        s31.intoArray(lanes, 13 * COUNT);
        s32.intoArray(lanes, 14 * COUNT);
        s33.intoArray(lanes, 15 * COUNT);
    }

    private static void oneByFour(float[] a, int aAt, float[] b, int bAt, int bStride, int k, float[] lanes, int at) {
        FloatVector s0 = FloatVector.zero(FLOATS);
        FloatVector s1 = s0;
        FloatVector s2 = s0;
        FloatVector s3 = s0;
        for (int c = 0; c < k; c += COUNT) {
            FloatVector ac = FloatVector.fromArray(FLOATS, a, aAt + c);
            s0 = FloatVector.fromArray(FLOATS, b, bAt + c).fma(ac, s0);
            s1 = FloatVector.fromArray(FLOATS, b, bAt + bStride + c).fma(ac, s1);
            s2 = FloatVector.fromArray(FLOATS, b, bAt + 2 * bStride + c).fma(ac, s2);
            s3 = FloatVector.fromArray(FLOATS, b, bAt + 3 * bStride + c).fma(ac, s3);
        }
        s0.intoArray(lanes, at);
        s1.intoArray(lanes, at + COUNT);
        s2.intoArray(lanes, at + 2 * COUNT);
        s3.intoArray(lanes, at + 3 * COUNT);
    }

    private static void one(float[] a, int aAt, float[] b, int bAt, int k, float[] lanes, int at) {
        FloatVector s = FloatVector.zero(FLOATS);
        for (int c = 0; c < k; c += COUNT) {
            s = FloatVector.fromArray(FLOATS, b, bAt + c).fma(FloatVector.fromArray(FLOATS, a, aAt + c), s);
        }
        s.intoArray(lanes, at);
    }
}
