package io.fireq.engine.backend.cpu;

import io.fireq.engine.tensor.E4m3;
import io.fireq.engine.tensor.E4m3Matrix;
import io.fireq.engine.tensor.Int4Matrix;
import java.nio.ByteBuffer;
import java.util.Arrays;

/**
 * The kernels in plain Java, and their definition: every output is summed over k in ascending order.
 *
 * <p>Weights are decoded into a panel that is transposed, {@code [columns, rows]}, so that the multiplication adds
 * scaled vectors of neighbouring rows: a loop the JIT compiler vectorizes, which it does not do with a sum.
 *
 * <pre>{@code
 *            rows r0..r0+R                      y[t, r0..r0+R]
 *   k0  [ w w w w w w w w ]   · x[t,k0]    ─┐
 *   k0+1[ w w w w w w w w ]   · x[t,k0+1]  ─┼→  [ + + + + + + + + ]
 *   …   [ w w w w w w w w ]   · x[t,…]     ─┘
 * }</pre>
 */
final class PlainKernels implements CpuKernels {
    /** A panel of 64 · 256 floats is 64 KiB: it stays in the L2 cache, and rows are long enough for SIMD loops. */
    private static final int PANEL_ROWS = 256;
    private static final int PANEL_COLUMNS = 64;

    private static final float[] E4M3_VALUES = new float[256];

    static {
        for (int code = 0; code < 256; code++) {
            E4M3_VALUES[code] = E4m3.decode((byte) code);
        }
    }

    @Override
    public String name() {
        return "plain Java";
    }

    @Override
    public void int4MatMul(Int4Weight weight, int rowBegin, int rowEnd, float[] x, int m, float[] y, int yOffset,
            int yStride, KernelScratch scratch) {
        Int4Matrix w = weight.matrix();
        clear(y, yOffset, yStride, m, rowEnd - rowBegin);
        int panelBegin = rowBegin;
        for (; m == 1 && panelBegin + 4 <= rowEnd; panelBegin += 4) {
            int4FourRows(weight, panelBegin, x, y, yOffset + panelBegin - rowBegin, scratch);
        }
        float[][] panel = scratch.panel(PANEL_COLUMNS, PANEL_ROWS);
        byte[] codes = scratch.bytes(PANEL_ROWS * PANEL_COLUMNS / 2);
        int[] tables = scratch.ints(PANEL_ROWS);
        for (int row = panelBegin; row < rowEnd; row += PANEL_ROWS) {
            int rows = Math.min(PANEL_ROWS, rowEnd - row);
            for (int group = 0; group < w.groups(); group++) {
                for (int r = 0; r < rows; r++) {
                    tables[r] = (w.scales().get((row + r) * w.groups() + group) & 0xff) * 16;
                }
                int groupEnd = (group + 1) * w.groupSize();
                for (int column = group * w.groupSize(); column < groupEnd; column += PANEL_COLUMNS) {
                    int columns = Math.min(PANEL_COLUMNS, groupEnd - column);
                    int bytes = (columns + 1) / 2;
                    for (int r = 0; r < rows; r++) {
                        w.packed().get((row + r) * w.rowBytes() + column / 2, codes, r * bytes, bytes);
                    }
                    decodeInt4(codes, bytes, columns, rows, tables, weight.values(), panel);
                    addPanel(panel, rows, columns, x, w.k(), column, m, y, yOffset + row - rowBegin, yStride, scratch);
                }
            }
        }
    }

    /** One token: a panel would be used once, so each weight is multiplied as it is looked up. */
    private static void int4FourRows(Int4Weight weight, int row, float[] x, float[] y, int yOffset,
            KernelScratch scratch) {
        Int4Matrix w = weight.matrix();
        int rowBytes = w.rowBytes();
        byte[] codes = scratch.bytes(4 * rowBytes);
        w.packed().get(row * rowBytes, codes, 0, 4 * rowBytes);
        byte[] scales = scratch.scales(4 * w.groups());
        w.scales().get(row * w.groups(), scales, 0, 4 * w.groups());
        for (int group = 0; group < w.groups(); group++) {
            int4FourGroups(weight.values(), tableOf(scales[group]), tableOf(scales[w.groups() + group]),
                    tableOf(scales[2 * w.groups() + group]), tableOf(scales[3 * w.groups() + group]), codes,
                    group * w.groupSize() / 2, rowBytes, w.groupSize(), x, group * w.groupSize(), y, yOffset);
        }
    }

    private static int tableOf(byte scale) {
        return (scale & 0xff) * 16;
    }

    private static void int4FourGroups(float[] values, int t0, int t1, int t2, int t3, byte[] codes, int at,
            int rowBytes, int groupSize, float[] x, int xAt, float[] y, int yAt) {
        int last = values.length - 1; // a power of two less one: a mask that shows the compiler the bounds
        float s0 = y[yAt];
        float s1 = y[yAt + 1];
        float s2 = y[yAt + 2];
        float s3 = y[yAt + 3];
        int pairs = groupSize / 2;
        for (int i = 0; i < pairs; i++) {
            int c0 = codes[at + i];
            int c1 = codes[at + rowBytes + i];
            int c2 = codes[at + 2 * rowBytes + i];
            int c3 = codes[at + 3 * rowBytes + i];
            float even = x[xAt + 2 * i];
            s0 += even * values[t0 + (c0 & 15) & last];
            s1 += even * values[t1 + (c1 & 15) & last];
            s2 += even * values[t2 + (c2 & 15) & last];
            s3 += even * values[t3 + (c3 & 15) & last];
            float odd = x[xAt + 2 * i + 1];
            s0 += odd * values[t0 + (c0 >>> 4 & 15) & last];
            s1 += odd * values[t1 + (c1 >>> 4 & 15) & last];
            s2 += odd * values[t2 + (c2 >>> 4 & 15) & last];
            s3 += odd * values[t3 + (c3 >>> 4 & 15) & last];
        }
        if (groupSize % 2 == 1) {
            float even = x[xAt + groupSize - 1];
            s0 += even * values[t0 + (codes[at + pairs] & 15) & last];
            s1 += even * values[t1 + (codes[at + rowBytes + pairs] & 15) & last];
            s2 += even * values[t2 + (codes[at + 2 * rowBytes + pairs] & 15) & last];
            s3 += even * values[t3 + (codes[at + 3 * rowBytes + pairs] & 15) & last];
        }
        y[yAt] = s0;
        y[yAt + 1] = s1;
        y[yAt + 2] = s2;
        y[yAt + 3] = s3;
    }

    private static void decodeInt4(byte[] codes, int bytes, int columns, int rows, int[] tables, float[] values,
            float[][] panel) {
        for (int c = 0; c < columns; c++) {
            int shift = (c & 1) * 4;
            float[] column = panel[c];
            for (int r = 0; r < rows; r++) {
                column[r] = values[tables[r] + (codes[r * bytes + c / 2] >>> shift & 15)];
            }
        }
    }

    @Override
    public void e4m3MatMul(E4m3Matrix w, int rowBegin, int rowEnd, float[] x, int m, float[] y, int yOffset,
            int yStride, KernelScratch scratch) {
        clear(y, yOffset, yStride, m, rowEnd - rowBegin);
        float[][] panel = scratch.panel(PANEL_COLUMNS, PANEL_ROWS);
        ByteBuffer source = w.codes();
        int panelBegin = rowBegin;
        for (; m == 1 && panelBegin + 4 <= rowEnd; panelBegin += 4) {
            e4m3FourRows(w, panelBegin, x, y, yOffset + panelBegin - rowBegin, scratch);
        }
        byte[] codes = scratch.bytes(PANEL_ROWS * PANEL_COLUMNS);
        for (int row = panelBegin; row < rowEnd; row += PANEL_ROWS) {
            int rows = Math.min(PANEL_ROWS, rowEnd - row);
            for (int column = 0; column < w.k(); column += PANEL_COLUMNS) {
                int columns = Math.min(PANEL_COLUMNS, w.k() - column);
                for (int r = 0; r < rows; r++) {
                    source.get((row + r) * w.k() + column, codes, r * columns, columns);
                }
                for (int c = 0; c < columns; c++) {
                    float[] decoded = panel[c];
                    for (int r = 0; r < rows; r++) {
                        decoded[r] = E4M3_VALUES[codes[r * columns + c] & 0xff];
                    }
                }
                addPanel(panel, rows, columns, x, w.k(), column, m, y, yOffset + row - rowBegin, yStride, scratch);
            }
        }
    }

    private static void e4m3FourRows(E4m3Matrix w, int row, float[] x, float[] y, int yAt, KernelScratch scratch) {
        int k = w.k();
        byte[] codes = scratch.bytes(4 * k);
        w.codes().get(row * k, codes, 0, 4 * k);
        float s0 = 0;
        float s1 = 0;
        float s2 = 0;
        float s3 = 0;
        for (int i = 0; i < k; i++) {
            s0 += x[i] * E4M3_VALUES[codes[i] & 0xff];
            s1 += x[i] * E4M3_VALUES[codes[k + i] & 0xff];
            s2 += x[i] * E4M3_VALUES[codes[2 * k + i] & 0xff];
            s3 += x[i] * E4M3_VALUES[codes[3 * k + i] & 0xff];
        }
        y[yAt] = s0;
        y[yAt + 1] = s1;
        y[yAt + 2] = s2;
        y[yAt + 3] = s3;
    }

    @Override
    public void dots(float[] a, int aOffset, int aStride, int m, float[] b, int bOffset, int bStride, int n, int k,
            float[] y, int yOffset, int yStride, KernelScratch scratch) {
        clear(y, yOffset, yStride, m, n);
        float[][] panel = scratch.panel(PANEL_COLUMNS, PANEL_ROWS);
        for (int row = 0; row < n; row += PANEL_ROWS) {
            int rows = Math.min(PANEL_ROWS, n - row);
            for (int column = 0; column < k; column += PANEL_COLUMNS) {
                int columns = Math.min(PANEL_COLUMNS, k - column);
                for (int r = 0; r < rows; r++) {
                    int from = bOffset + (row + r) * bStride + column;
                    for (int c = 0; c < columns; c++) {
                        panel[c][r] = b[from + c];
                    }
                }
                addPanel(panel, rows, columns, a, aStride, aOffset + column, m, y, yOffset + row, yStride, scratch);
            }
        }
    }

    private static void clear(float[] y, int yOffset, int yStride, int m, int n) {
        for (int t = 0; t < m; t++) {
            Arrays.fill(y, yOffset + t * yStride, yOffset + t * yStride + n, 0f);
        }
    }

    @Override
    public void addWeightedRows(float[] a, int aOffset, int aStride, int m, float[] b, int bOffset, int bStride, int n,
            int k, float[] y, int yOffset, int yStride, KernelScratch scratch) {
        float[][] panel = scratch.panel(PANEL_COLUMNS, PANEL_ROWS);
        for (int c = 0; c < k; c += PANEL_ROWS) {
            int width = Math.min(PANEL_ROWS, k - c);
            for (int j = 0; j < n; j += PANEL_COLUMNS) {
                int height = Math.min(PANEL_COLUMNS, n - j);
                for (int i = 0; i < height; i++) {
                    System.arraycopy(b, bOffset + (j + i) * bStride + c, panel[i], 0, width);
                }
                addPanel(panel, width, height, a, aStride, aOffset + j, m, y, yOffset + c, yStride, scratch);
            }
        }
    }

    /** {@code y[t, r] += Σ_c x[t, c] · panel[c, r]} for {@code r < rows}, {@code c < columns} ascending. */
    private static void addPanel(float[][] panel, int rows, int columns, float[] x, int xStride, int xOffset, int m,
            float[] y, int yOffset, int yStride, KernelScratch scratch) {
        float[] sums = scratch.floats(PANEL_ROWS);
        for (int t = 0; t < m; t++) {
            int at = xOffset + t * xStride;
            System.arraycopy(y, yOffset + t * yStride, sums, 0, rows);
            int c = 0;
            for (; c + 4 <= columns; c += 4) {
                addFour(sums, rows, x[at + c], panel[c], x[at + c + 1], panel[c + 1], x[at + c + 2], panel[c + 2],
                        x[at + c + 3], panel[c + 3]);
            }
            for (; c < columns; c++) {
                float factor = x[at + c];
                float[] column = panel[c];
                for (int r = 0; r < rows; r++) {
                    sums[r] += factor * column[r];
                }
            }
            System.arraycopy(sums, 0, y, yOffset + t * yStride, rows);
        }
    }

    /**
     * Four columns at once, to load and store the sums once for all. The compiler makes SIMD code of this loop because
     * all arrays are read and written at the same index; with offsets of their own it must fear that they overlap.
     */
    private static void addFour(float[] sums, int rows, float f0, float[] c0, float f1, float[] c1, float f2,
            float[] c2, float f3, float[] c3) {
        for (int r = 0; r < rows; r++) {
            sums[r] = sums[r] + f0 * c0[r] + f1 * c1[r] + f2 * c2[r] + f3 * c3[r];
        }
    }

    @Override
    public void unpackCodes(int[] words, int offset, int count, int firstNibble, int nibbles, float[] target,
            int targetOffset, int targetStride) {
        for (int j = 0; j < nibbles; j++) {
            int shift = 4 * (firstNibble + j);
            int to = targetOffset + j * targetStride;
            for (int i = 0; i < count; i++) {
                target[to + i] = words[offset + i] >>> shift & 15;
            }
        }
    }

    @Override
    public float quantizeRow(float[] x, int xOffset, int count, float[] out, int outOffset) {
        float absMax = 0;
        for (int i = 0; i < count; i++) {
            absMax = Math.max(absMax, Math.abs(x[xOffset + i]));
        }
        float scale = absMax / E4m3.MAX;
        float invScale = 1 / scale;
        if (absMax == 0 || Float.isInfinite(invScale)) { // zeros, or so small that 1/scale is no float
            scale = 1;
            invScale = 1;
        }
        for (int i = 0; i < count; i++) {
            out[outOffset + i] = E4m3.round(x[xOffset + i] * invScale);
        }
        return scale;
    }

    @Override
    public float softmaxRow(float[] p, int offset, int count, float scale, KernelScratch scratch) {
        float max = Float.NEGATIVE_INFINITY;
        for (int t = offset; t < offset + count; t++) {
            p[t] *= scale;
            max = Math.max(max, p[t]);
        }
        float sum = 0;
        for (int t = offset; t < offset + count; t++) {
            p[t] = (float) Math.exp(p[t] - max);
            sum += p[t];
        }
        return sum;
    }

    @Override
    public void siluMul(float[] gate, int gateOffset, float[] up, int upOffset, int count) {
        for (int i = 0; i < count; i++) {
            float g = gate[gateOffset + i];
            gate[gateOffset + i] = g / (1 + (float) Math.exp(-g)) * up[upOffset + i];
        }
    }
}
