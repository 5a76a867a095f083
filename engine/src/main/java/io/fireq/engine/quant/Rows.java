package io.fireq.engine.quant;

/** Rows of matrices on the heap. */
final class Rows {
    private Rows() {}

    /** Rows 0, step, 2 step, … of {@code [n, k]}. */
    static float[] every(float[] w, int k, int step) {
        int n = (w.length / k + step - 1) / step;
        float[] rows = new float[n * k];
        for (int i = 0; i < n; i++) {
            System.arraycopy(w, i * step * k, rows, i * k, k);
        }
        return rows;
    }
}
