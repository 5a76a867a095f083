package io.fireq.engine.backend.cpu;

/** Buffers of one worker thread; they grow and hold nothing between items of work. */
final class WorkerScratch {
    final KernelScratch kernels = new KernelScratch();
    final AttentionScratch attention = new AttentionScratch();
    private float[] products = {};
    private float[] rowScales = {};
    private float[] logits = {};

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

    /** Exactly {@code size} floats for a row of logits. */
    float[] logits(int size) {
        logits = logits.length == size ? logits : new float[size];
        return logits;
    }

    static float[] atLeast(float[] buffer, int size) {
        return buffer.length >= size ? buffer : new float[size];
    }
}
