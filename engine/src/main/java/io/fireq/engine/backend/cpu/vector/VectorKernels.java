package io.fireq.engine.backend.cpu.vector;

import static io.fireq.engine.backend.cpu.vector.Lanes.COUNT;

import io.fireq.engine.backend.cpu.CpuKernels;
import io.fireq.engine.backend.cpu.Int4Weight;
import io.fireq.engine.backend.cpu.KernelScratch;
import io.fireq.engine.tensor.E4m3;
import io.fireq.engine.tensor.E4m3Matrix;
import io.fireq.engine.tensor.Int4Matrix;
import java.nio.ByteBuffer;

/**
 * The kernels on the Vector API. One token multiplies weights as they are decoded, in registers; several tokens share a
 * panel of decoded rows. Either way an output is summed in the same order: see {@link RowProducts}.
 */
public final class VectorKernels implements CpuKernels {
    /** A panel of 512 KiB leaves half of a usual L2 cache to the activations. */
    private static final int PANEL_FLOATS = 1 << 17;
    /** How much of a memory map is copied at once: long enough for the hardware to read ahead, short enough for L2. */
    private static final int COPY_BYTES = 1 << 16;
    private static final int MAX_PANEL_ROWS = 32;

    /** Loaded by name where the module {@code jdk.incubator.vector} is present. */
    public VectorKernels() {}

    @Override
    public String name() {
        return "Vector API " + COUNT * Float.SIZE + " bits";
    }

    @Override
    public float[] int4Order(float[] x, int m, int k, float[] buffer) {
        for (int t = 0; t < m; t++) {
            int blocksEnd = k - k % Int4Rows.BLOCK;
            for (int block = 0; block < blocksEnd; block += Int4Rows.BLOCK) {
                for (int i = 0; i < Int4Rows.BLOCK; i++) {
                    buffer[t * k + block + i] = x[t * k + block + Int4Rows.columnAt(i)];
                }
            }
            System.arraycopy(x, t * k + blocksEnd, buffer, t * k + blocksEnd, k - blocksEnd);
        }
        return buffer;
    }

    @Override
    public float[] e4m3Order(float[] x, int m, int k, float[] buffer) {
        for (int t = 0; t < m; t++) {
            int blocksEnd = k - k % E4m3Rows.BLOCK;
            for (int block = 0; block < blocksEnd; block += E4m3Rows.BLOCK) {
                for (int i = 0; i < E4m3Rows.BLOCK; i++) {
                    buffer[t * k + block + i] = x[t * k + block + E4m3Rows.columnAt(i)];
                }
            }
            System.arraycopy(x, t * k + blocksEnd, buffer, t * k + blocksEnd, k - blocksEnd);
        }
        return buffer;
    }

    @Override
    public void int4MatMul(Int4Weight weight, int rowBegin, int rowEnd, float[] x, int m, float[] y, int yOffset,
            int yStride, KernelScratch scratch) {
        Int4Matrix w = weight.matrix();
        int row = rowBegin;
        if (m == 1 && w.k() % Int4Rows.BLOCK == 0 && Int4Rows.canLookUp(w)) {
            row = int4Rows(weight, rowBegin, rowEnd, x, y, yOffset, scratch);
        }
        int panelRows = panelRows(w.k());
        float[] panel = scratch.floats(panelRows * w.k());
        byte[] codes = scratch.bytes(w.rowBytes());
        for (; row < rowEnd; row += panelRows) {
            int rows = Math.min(panelRows, rowEnd - row);
            for (int r = 0; r < rows; r++) {
                w.packed().get((row + r) * w.rowBytes(), codes, 0, w.rowBytes());
                Int4Rows.decode(weight, row + r, codes, panel, r * w.k(), scratch);
            }
            RowProducts.multiply(x, 0, w.k(), m, panel, 0, w.k(), rows, w.k(), Int4Rows.SCALE, y,
                    yOffset + row - rowBegin, yStride, scratch.lanes());
        }
    }

    /** One token: whole fours of rows straight from their codes. Returns the first row that is left. */
    private static int int4Rows(Int4Weight weight, int rowBegin, int rowEnd, float[] x, float[] y, int yOffset,
            KernelScratch scratch) {
        Int4Matrix w = weight.matrix();
        int chunkRows = Math.max(4, COPY_BYTES / w.rowBytes() / 4 * 4);
        int row = rowBegin;
        while (row + 4 <= rowEnd) {
            int rows = Math.min(chunkRows, (rowEnd - row) / 4 * 4);
            byte[] codes = scratch.bytes(rows * w.rowBytes());
            w.packed().get(row * w.rowBytes(), codes, 0, rows * w.rowBytes());
            Int4Rows.multiply(weight, row, rows, codes, x, y, yOffset + row - rowBegin, scratch);
            row += rows;
        }
        return row;
    }

    @Override
    public void e4m3MatMul(E4m3Matrix w, int rowBegin, int rowEnd, float[] x, int m, float[] y, int yOffset,
            int yStride, KernelScratch scratch) {
        int row = rowBegin;
        ByteBuffer source = w.codes();
        int k = w.k();
        if (m == 1 && k % E4m3Rows.BLOCK == 0) {
            row = e4m3Rows(w, rowBegin, rowEnd, x, y, yOffset, scratch);
        }
        int panelRows = panelRows(k);
        float[] panel = scratch.floats(panelRows * k);
        byte[] codes = scratch.bytes(k);
        for (; row < rowEnd; row += panelRows) {
            int rows = Math.min(panelRows, rowEnd - row);
            for (int r = 0; r < rows; r++) {
                source.get((row + r) * k, codes, 0, k);
                E4m3Rows.decode(codes, 0, k, panel, r * k);
                for (int column = k - k % E4m3Rows.BLOCK; column < k; column++) {
                    panel[r * k + column] = E4m3.decode(codes[column]) / E4m3Rows.SCALE;
                }
            }
            RowProducts.multiply(x, 0, k, m, panel, 0, k, rows, k, E4m3Rows.SCALE, y, yOffset + row - rowBegin, yStride,
                    scratch.lanes());
        }
    }

    /** One token: whole fours of rows straight from their codes. Returns the first row that is left. */
    private static int e4m3Rows(E4m3Matrix w, int rowBegin, int rowEnd, float[] x, float[] y, int yOffset,
            KernelScratch scratch) {
        int k = w.k();
        int chunkRows = Math.max(4, COPY_BYTES / k / 4 * 4);
        float[] lanes = scratch.lanes();
        int row = rowBegin;
        while (row + 4 <= rowEnd) {
            int rows = Math.min(chunkRows, (rowEnd - row) / 4 * 4);
            byte[] codes = scratch.bytes(rows * k);
            w.codes().get(row * k, codes, 0, rows * k);
            for (int first = 0; first < rows; first += 4) {
                E4m3Rows.fourRows(codes, first * k, k, x, lanes);
                for (int r = 0; r < 4; r++) {
                    y[yOffset + row + first + r - rowBegin] = E4m3Rows.SCALE * Lanes.sum(lanes, r * COUNT);
                }
            }
            row += rows;
        }
        return row;
    }

    private static int panelRows(int k) {
        return Math.max(4, Math.min(MAX_PANEL_ROWS, PANEL_FLOATS / k / 4 * 4));
    }

    @Override
    public void dots(float[] a, int aOffset, int aStride, int m, float[] b, int bOffset, int bStride, int n, int k,
            float[] y, int yOffset, int yStride, KernelScratch scratch) {
        RowProducts.multiply(a, aOffset, aStride, m, b, bOffset, bStride, n, k, 1, y, yOffset, yStride,
                scratch.lanes());
    }

    @Override
    public void addWeightedRows(float[] a, int aOffset, int aStride, int m, float[] b, int bOffset, int bStride, int n,
            int k, float[] y, int yOffset, int yStride, KernelScratch scratch) {
        WeightedRows.add(a, aOffset, aStride, m, b, bOffset, bStride, n, k, y, yOffset, yStride);
    }

    @Override
    public void unpackCodes(int[] words, int offset, int count, int firstNibble, int nibbles, float[] target,
            int targetOffset, int targetStride) {
        RowFunctions.unpack(words, offset, count, firstNibble, nibbles, target, targetOffset, targetStride);
    }

    @Override
    public float quantizeRow(float[] x, int xOffset, int count, float[] out, int outOffset) {
        return RowFunctions.quantize(x, xOffset, count, out, outOffset);
    }

    @Override
    public float softmaxRow(float[] p, int offset, int count, float scale, KernelScratch scratch) {
        return RowFunctions.softmax(p, offset, count, scale, scratch.lanes());
    }

    @Override
    public void siluMul(float[] gate, int gateOffset, float[] up, int upOffset, int count) {
        RowFunctions.siluMul(gate, gateOffset, up, upOffset, count);
    }
}
