package io.fireq.engine.backend.cpu.vector;

import static io.fireq.engine.backend.cpu.vector.Lanes.COUNT;
import static io.fireq.engine.backend.cpu.vector.Lanes.FLOATS;

import jdk.incubator.vector.FloatVector;

/**
 * Sums of weighted rows, four vectors of four outputs in registers. Every output takes its terms in ascending order,
 * whatever tile it falls into.
 */
final class WeightedRows {
    private WeightedRows() {}

    /** {@code y[i,:] += Σ_j a[i,j] · b[j,:]}: see {@link io.fireq.engine.backend.cpu.CpuKernels#addWeightedRows}. */
    static void add(float[] a, int aOffset, int aStride, int m, float[] b, int bOffset, int bStride, int n, int k,
            float[] y, int yOffset, int yStride) {
        int fourVectors = k - k % (4 * COUNT);
        for (int c = 0; c < fourVectors; c += 4 * COUNT) {
            int i = 0;
            for (; i + 4 <= m; i += 4) {
                fourByFour(a, aOffset + i * aStride, aStride, b, bOffset + c, bStride, n, y, yOffset + i * yStride + c,
                        yStride);
            }
            for (; i < m; i++) {
                oneByFour(a, aOffset + i * aStride, b, bOffset + c, bStride, n, y, yOffset + i * yStride + c);
            }
        }
        int vectors = FLOATS.loopBound(k);
        for (int i = 0; i < m; i++) {
            int aAt = aOffset + i * aStride;
            int yAt = yOffset + i * yStride;
            for (int c = fourVectors; c < vectors; c += COUNT) {
                one(a, aAt, b, bOffset + c, bStride, n, y, yAt + c);
            }
            for (int c = vectors; c < k; c++) {
                float s = y[yAt + c];
                for (int j = 0; j < n; j++) {
                    s += a[aAt + j] * b[bOffset + j * bStride + c];
                }
                y[yAt + c] = s;
            }
        }
    }

    private static void fourByFour(float[] a, int aAt, int aStride, float[] b, int bAt, int bStride, int n, float[] y,
            int yAt, int yStride) {
        FloatVector s00 = FloatVector.fromArray(FLOATS, y, yAt);
        FloatVector s01 = FloatVector.fromArray(FLOATS, y, yAt + COUNT);
        FloatVector s02 = FloatVector.fromArray(FLOATS, y, yAt + 2 * COUNT);
        FloatVector s03 = FloatVector.fromArray(FLOATS, y, yAt + 3 * COUNT);
        FloatVector s10 = FloatVector.fromArray(FLOATS, y, yAt + yStride);
        FloatVector s11 = FloatVector.fromArray(FLOATS, y, yAt + yStride + COUNT);
        FloatVector s12 = FloatVector.fromArray(FLOATS, y, yAt + yStride + 2 * COUNT);
        FloatVector s13 = FloatVector.fromArray(FLOATS, y, yAt + yStride + 3 * COUNT);
        FloatVector s20 = FloatVector.fromArray(FLOATS, y, yAt + 2 * yStride);
        FloatVector s21 = FloatVector.fromArray(FLOATS, y, yAt + 2 * yStride + COUNT);
        FloatVector s22 = FloatVector.fromArray(FLOATS, y, yAt + 2 * yStride + 2 * COUNT);
        FloatVector s23 = FloatVector.fromArray(FLOATS, y, yAt + 2 * yStride + 3 * COUNT);
        FloatVector s30 = FloatVector.fromArray(FLOATS, y, yAt + 3 * yStride);
        FloatVector s31 = FloatVector.fromArray(FLOATS, y, yAt + 3 * yStride + COUNT);
        FloatVector s32 = FloatVector.fromArray(FLOATS, y, yAt + 3 * yStride + 2 * COUNT);
        FloatVector s33 = FloatVector.fromArray(FLOATS, y, yAt + 3 * yStride + 3 * COUNT);
        for (int j = 0; j < n; j++) {
            int bj = bAt + j * bStride;
            FloatVector b0 = FloatVector.fromArray(FLOATS, b, bj);
            FloatVector b1 = FloatVector.fromArray(FLOATS, b, bj + COUNT);
            FloatVector b2 = FloatVector.fromArray(FLOATS, b, bj + 2 * COUNT);
            FloatVector b3 = FloatVector.fromArray(FLOATS, b, bj + 3 * COUNT);
            FloatVector a0 = FloatVector.broadcast(FLOATS, a[aAt + j]);
            s00 = b0.fma(a0, s00);
            s01 = b1.fma(a0, s01);
            s02 = b2.fma(a0, s02);
            s03 = b3.fma(a0, s03);
            FloatVector a1 = FloatVector.broadcast(FLOATS, a[aAt + aStride + j]);
            s10 = b0.fma(a1, s10);
            s11 = b1.fma(a1, s11);
            s12 = b2.fma(a1, s12);
            s13 = b3.fma(a1, s13);
            FloatVector a2 = FloatVector.broadcast(FLOATS, a[aAt + 2 * aStride + j]);
            s20 = b0.fma(a2, s20);
            s21 = b1.fma(a2, s21);
            s22 = b2.fma(a2, s22);
            s23 = b3.fma(a2, s23);
            FloatVector a3 = FloatVector.broadcast(FLOATS, a[aAt + 3 * aStride + j]);
            s30 = b0.fma(a3, s30);
            s31 = b1.fma(a3, s31);
            s32 = b2.fma(a3, s32);
            s33 = b3.fma(a3, s33);
        }
        s00.intoArray(y, yAt);
        s01.intoArray(y, yAt + COUNT);
        s02.intoArray(y, yAt + 2 * COUNT);
        s03.intoArray(y, yAt + 3 * COUNT);
        s10.intoArray(y, yAt + yStride);
        s11.intoArray(y, yAt + yStride + COUNT);
        s12.intoArray(y, yAt + yStride + 2 * COUNT);
        s13.intoArray(y, yAt + yStride + 3 * COUNT);
        s20.intoArray(y, yAt + 2 * yStride);
        s21.intoArray(y, yAt + 2 * yStride + COUNT);
        s22.intoArray(y, yAt + 2 * yStride + 2 * COUNT);
        s23.intoArray(y, yAt + 2 * yStride + 3 * COUNT);
        s30.intoArray(y, yAt + 3 * yStride);
        s31.intoArray(y, yAt + 3 * yStride + COUNT);
        s32.intoArray(y, yAt + 3 * yStride + 2 * COUNT);
        s33.intoArray(y, yAt + 3 * yStride + 3 * COUNT);
    }

    private static void oneByFour(float[] a, int aAt, float[] b, int bAt, int bStride, int n, float[] y, int yAt) {
        FloatVector s0 = FloatVector.fromArray(FLOATS, y, yAt);
        FloatVector s1 = FloatVector.fromArray(FLOATS, y, yAt + COUNT);
        FloatVector s2 = FloatVector.fromArray(FLOATS, y, yAt + 2 * COUNT);
        FloatVector s3 = FloatVector.fromArray(FLOATS, y, yAt + 3 * COUNT);
        for (int j = 0; j < n; j++) {
            int bj = bAt + j * bStride;
            FloatVector b0 = FloatVector.fromArray(FLOATS, b, bj);
            FloatVector b1 = FloatVector.fromArray(FLOATS, b, bj + COUNT);
            FloatVector b2 = FloatVector.fromArray(FLOATS, b, bj + 2 * COUNT);
            FloatVector b3 = FloatVector.fromArray(FLOATS, b, bj + 3 * COUNT);
            FloatVector a0 = FloatVector.broadcast(FLOATS, a[aAt + j]);
            s0 = b0.fma(a0, s0);
            s1 = b1.fma(a0, s1);
            s2 = b2.fma(a0, s2);
            s3 = b3.fma(a0, s3);
        }
        s0.intoArray(y, yAt);
        s1.intoArray(y, yAt + COUNT);
        s2.intoArray(y, yAt + 2 * COUNT);
        s3.intoArray(y, yAt + 3 * COUNT);
    }

    private static void one(float[] a, int aAt, float[] b, int bAt, int bStride, int n, float[] y, int yAt) {
        FloatVector s = FloatVector.fromArray(FLOATS, y, yAt);
        for (int j = 0; j < n; j++) {
            s = FloatVector.fromArray(FLOATS, b, bAt + j * bStride).fma(FloatVector.broadcast(FLOATS, a[aAt + j]), s);
        }
        s.intoArray(y, yAt);
    }
}
