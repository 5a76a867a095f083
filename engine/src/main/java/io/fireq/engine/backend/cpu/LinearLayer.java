package io.fireq.engine.backend.cpu;

import io.fireq.engine.backend.Backend.Epilogue;

/**
 * A linear layer over all tokens of a step: threads share tiles of output channels, each multiplies its tile into a
 * scratch and applies scales and epilogue while it is still in the cache.
 */
final class LinearLayer {
    private static final int MIN_TILE = 16;
    private static final int MAX_TILE = 256;
    private static final int TILES_PER_THREAD = 8;

    private final CpuKernels kernels;
    private final CpuWorkers workers;
    private final Rounding rounding;
    private final WorkerScratch[] scratch;
    private float[] int4Order = {};
    private float[] e4m3Order = {};

    LinearLayer(CpuKernels kernels, CpuWorkers workers, Rounding rounding, WorkerScratch[] scratch) {
        this.kernels = kernels;
        this.workers = workers;
        this.rounding = rounding;
        this.scratch = scratch;
    }

    /** {@code y} to bfloat16 {@code out[m, n or n/2]}. */
    void run(CpuQuantizedRows x, int m, CpuWeight w, Epilogue epilogue, CpuRows out) {
        LinearInput input = input(x, m, w);
        int width = out.width();
        forTiles(width, (worker, begin, end) -> {
            int columns = end - begin;
            boolean gated = epilogue == Epilogue.SILU_MUL;
            int stride = gated ? 2 * columns : columns;
            float[] y = scratch[worker].products(m * stride);
            float[] rowScales = scratch[worker].rowScales(stride);
            multiply(input, w, begin, end, y, 0, stride, worker);
            w.copyRowScales(begin, end, rowScales, 0);
            if (gated) {
                multiply(input, w, begin + width, end + width, y, columns, stride, worker);
                w.copyRowScales(begin + width, end + width, rowScales, columns);
            }
            for (int t = 0; t < m; t++) {
                scale(y, t * stride, stride, x.scales()[t], rowScales);
                if (gated) {
                    kernels.siluMul(y, t * stride, y, t * stride + columns, columns);
                }
                store(y, t * stride, columns, epilogue == Epilogue.RESIDUAL_ADD, out.values(), t * width + begin);
            }
        });
    }

    /** {@code y} as it is, float32, to {@code out[m, n]}. */
    void runToFloat(CpuQuantizedRows x, int m, CpuWeight w, float[] out) {
        LinearInput input = input(x, m, w);
        forTiles(w.n(), (worker, begin, end) -> {
            float[] rowScales = scratch[worker].rowScales(end - begin);
            multiply(input, w, begin, end, out, begin, w.n(), worker);
            w.copyRowScales(begin, end, rowScales, 0);
            for (int t = 0; t < m; t++) {
                scale(out, t * w.n() + begin, end - begin, x.scales()[t], rowScales);
            }
        });
    }

    private LinearInput input(CpuQuantizedRows x, int m, CpuWeight w) {
        int size = m * w.k();
        float[] int4 = x.values();
        if (w.hasInt4()) {
            int4Order = WorkerScratch.atLeast(int4Order, size);
            int4 = kernels.int4Order(x.values(), m, w.k(), int4Order);
        }
        float[] e4m3 = x.values();
        if (w.hasE4m3()) {
            e4m3Order = WorkerScratch.atLeast(e4m3Order, size);
            e4m3 = kernels.e4m3Order(x.values(), m, w.k(), e4m3Order);
        }
        return new LinearInput(x.values(), int4, e4m3, x.scales(), m);
    }

    private void forTiles(int n, CpuWorkers.Body body) {
        int tile = n / (workers.threads() * TILES_PER_THREAD) / MIN_TILE * MIN_TILE;
        workers.parallelFor(n, Math.max(MIN_TILE, Math.min(MAX_TILE, tile)), (worker, begin, end) -> {
            for (int from = begin; from < end; from += MAX_TILE) {
                body.run(worker, from, Math.min(from + MAX_TILE, end));
            }
        });
    }

    private void multiply(LinearInput x, CpuWeight w, int rowBegin, int rowEnd, float[] y, int yOffset, int yStride,
            int worker) {
        w.multiply(kernels, rowBegin, rowEnd, x, y, yOffset, yStride, scratch[worker].kernels);
    }

    private static void scale(float[] y, int offset, int count, float tokenScale, float[] rowScales) {
        for (int i = 0; i < count; i++) {
            y[offset + i] = tokenScale * rowScales[i] * y[offset + i];
        }
    }

    private void store(float[] y, int yOffset, int columns, boolean add, float[] out, int outOffset) {
        for (int i = 0; i < columns; i++) {
            float value = y[yOffset + i];
            out[outOffset + i] = rounding.store(add ? out[outOffset + i] + value : value);
        }
    }
}
