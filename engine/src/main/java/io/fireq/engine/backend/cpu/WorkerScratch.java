package io.fireq.engine.backend.cpu;

/** Buffers of one worker thread; they grow and hold nothing between items of work. */
final class WorkerScratch {
    final KernelScratch kernels = new KernelScratch();
    final AttentionScratch attention = new AttentionScratch();
    private float[] products = {};
    private float[] rowScales = {};

    /** At least {@code size} floats for a tile of a linear layer. */
    float[] products(int size) {
        products = atLeast(products, size);
        return products;
    }

    /** At least {@code size} floats for the row scales of a tile. */
    float[] rowScales(int size) {
        rowScales = atLeast(rowScales, size);
        return rowScales;
    }

    static float[] atLeast(float[] buffer, int size) {
        return buffer.length >= size ? buffer : new float[size];
    }
}
