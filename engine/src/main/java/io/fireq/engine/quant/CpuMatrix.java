package io.fireq.engine.quant;

/** A matrix on the heap. */
record CpuMatrix(float[] values, int rows, int columns) implements Matrix {

    static CpuMatrix zeros(int rows, int columns) {
        return new CpuMatrix(new float[Math.multiplyExact(rows, columns)], rows, columns);
    }

    static float[] values(Matrix matrix) {
        return ((CpuMatrix) matrix).values;
    }

    @Override
    public void close() {}
}
