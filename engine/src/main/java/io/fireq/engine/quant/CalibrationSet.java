package io.fireq.engine.quant;

import io.fireq.engine.model.ModelConfig;
import io.fireq.engine.quant.calibration.ActivationFile;
import io.fireq.engine.quant.calibration.ActivationFile.Format;
import io.fireq.engine.tensor.Chunks;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;

/**
 * The residual stream of all calibration windows in front of one decoder layer, as the quantized model computes it and as
 * the unquantized one does: on disk, so that memory holds one window of it. A layer reads it, and writes what it makes of
 * it, and {@link #advance} moves on. The streams in front of the last finished layer stay until the next is finished.
 */
final class CalibrationSet implements AutoCloseable {
    private final List<int[]> windows;
    private final int hiddenSize;
    private final int windowLen;
    private final Path directory;
    private int layer;
    private ActivationFile quantized;
    private ActivationFile reference;
    private ActivationFile nextQuantized;
    private ActivationFile nextReference;
    private CompletableFuture<Void> referenceForced = CompletableFuture.completedFuture(null);

    /**
     * @param windows   token ids
     * @param directory where the files are
     * @param layer     the layer that comes next; above 0 the files in front of it must be there
     */
    CalibrationSet(ModelConfig config, List<int[]> windows, Path directory, int layer) {
        this.windows = windows;
        this.hiddenSize = config.hiddenSize();
        this.windowLen = windows.stream().mapToInt(window -> window.length).max().orElse(1);
        this.directory = directory;
        this.layer = layer;
        if (layer > 0) {
            quantized = ActivationFile.open(quantizedPath(layer), Format.BF16, windowSize());
            reference = ActivationFile.open(referencePath(layer), Format.F32, windowSize());
            createNext();
        }
    }

    /**
     * Sets the streams in front of the first layer.
     *
     * @param quantizedTable the embedding as the quantized model has it
     * @param referenceTable the original
     */
    void embed(Rows quantizedTable, Rows referenceTable) {
        quantized = ActivationFile.create(quantizedPath(0), Format.BF16, windowSize());
        reference = ActivationFile.create(referencePath(0), Format.F32, windowSize());
        float[] rows = new float[windowSize()];
        for (int w = 0; w < windows.size(); w++) {
            gather(w, quantizedTable, rows);
            quantized.write(w, rows, tokens(w) * hiddenSize);
            gather(w, referenceTable, rows);
            reference.write(w, rows, tokens(w) * hiddenSize);
        }
        createNext();
    }

    private void gather(int window, Rows table, float[] rows) {
        int[] ids = windows.get(window);
        Chunks.forEach(ids.length, 16, (begin, end) -> {
            for (int t = begin; t < end; t++) {
                table.copyRow(ids[t], rows, t * hiddenSize);
            }
        });
    }

    private void createNext() {
        nextQuantized = ActivationFile.create(quantizedPath(layer + 1), Format.BF16, windowSize());
        nextReference = ActivationFile.create(referencePath(layer + 1), Format.F32, windowSize());
    }

    /** Nothing more will be written to the reference stream behind this layer: the disk may begin to take it. */
    void referenceIsComplete() {
        referenceForced = CompletableFuture.runAsync(nextReference::force);
    }

    /** Waits until the disk has the streams behind this layer. */
    void force() {
        try {
            referenceForced.join(); // its failure is told once, by the call that met it
        } catch (CompletionException e) {
            throw e.getCause() instanceof RuntimeException cause ? cause : e;
        }
        nextQuantized.force();
        nextReference.force();
    }

    /** Takes what was written as the streams in front of the next layer. */
    void advance() {
        close();
        layer++;
        quantized = ActivationFile.open(quantizedPath(layer), Format.BF16, windowSize());
        reference = ActivationFile.open(referencePath(layer), Format.F32, windowSize());
        createNext();
    }

    /** Deletes the streams in front of the layer before this one: nobody can want to go back there. */
    void forgetPrevious() {
        WorkDirectory.delete(quantizedPath(layer - 1));
        WorkDirectory.delete(referencePath(layer - 1));
    }

    int nWindows() {
        return windows.size();
    }

    /** Most tokens of a window. */
    int windowLen() {
        return windowLen;
    }

    /** Tokens of one window. */
    int tokens(int window) {
        return windows.get(window).length;
    }

    /** Tokens of all windows. */
    long totalTokens() {
        return windows.stream().mapToLong(window -> window.length).sum();
    }

    /** Every eighth window judges what is fitted to the others; the last, where there are fewer. */
    boolean isHeldOut(int window) {
        return windows.size() < 8 ? windows.size() > 1 && window == windows.size() - 1 : window % 8 == 7;
    }

    void readQuantized(int window, float[] target) {
        quantized.read(window, target, tokens(window) * hiddenSize);
    }

    void readReference(int window, float[] target) {
        reference.read(window, target, tokens(window) * hiddenSize);
    }

    void writeNextQuantized(int window, float[] values) {
        nextQuantized.write(window, values, tokens(window) * hiddenSize);
    }

    void writeNextReference(int window, float[] values) {
        nextReference.write(window, values, tokens(window) * hiddenSize);
    }

    // Halfway through a layer its results so far are where its final results will be.

    void readNextQuantized(int window, float[] target) {
        nextQuantized.read(window, target, tokens(window) * hiddenSize);
    }

    void readNextReference(int window, float[] target) {
        nextReference.read(window, target, tokens(window) * hiddenSize);
    }

    /** A scratch file of {@code width} bfloat16 values per token. */
    ActivationFile spill(String name, int width) {
        return ActivationFile.scratch(directory.resolve(name), Format.BF16, Math.multiplyExact(windowLen, width));
    }

    private int windowSize() {
        return Math.multiplyExact(windowLen, hiddenSize);
    }

    private Path quantizedPath(int index) {
        return directory.resolve("hidden-quantized-" + index);
    }

    private Path referencePath(int index) {
        return directory.resolve("hidden-reference-" + index);
    }

    @Override
    public void close() {
        referenceForced.exceptionally(failure -> null).join(); // whoever waits for the disk is told
        for (ActivationFile file : new ActivationFile[] {quantized, reference, nextQuantized, nextReference}) {
            if (file != null) {
                file.close();
            }
        }
    }

    /** A table of rows, such as an embedding. */
    interface Rows {
        void copyRow(int row, float[] target, int offset);
    }
}
