package io.fireq.engine.backend.cpu;

import io.fireq.engine.api.EngineOptions.CpuKernelChoice;

/**
 * The CPU backend's threads and its multiplication of float32 matrices, for work outside of a model's forward pass.
 * Results do not depend on the number of threads.
 *
 * <p>One caller at a time; helper threads end with {@link #close}.
 */
public final class CpuMath implements AutoCloseable {
    private static final int TILE_ROWS = 64;
    private static final int TILE_COLUMNS = 256;

    private final CpuKernels kernels;
    private final CpuWorkers workers;
    private final KernelScratch[] scratch;

    private CpuMath(CpuKernels kernels, int threads) {
        this.kernels = kernels;
        workers = new CpuWorkers(threads);
        scratch = new KernelScratch[threads];
        for (int i = 0; i < threads; i++) {
            scratch[i] = new KernelScratch();
        }
    }

    /** Parameters and exceptions as {@link CpuBackend#create}. */
    public static CpuMath create(int threads, CpuKernelChoice choice) {
        int nThreads = threads == 0 ? Runtime.getRuntime().availableProcessors() : threads;
        return new CpuMath(CpuKernelSelection.choose(choice).chosen(), nThreads);
    }

    /** The name of the inner loops, such as "Vector API 512 bits". */
    public String kernels() {
        return kernels.name();
    }

    /** Runs {@code body} over the items 0..n-1, in pieces of {@code grain} that any thread may take. */
    public void parallelFor(int n, int grain, Body body) {
        workers.parallelFor(n, grain, (worker, begin, end) -> body.run(begin, end));
    }

    /**
     * {@code c[i,j] += Σ_t a[i,t] · b[t,j]} for {@code i < m}, {@code j < n}, with {@code t < k} ascending.
     *
     * @param a {@code [m, k]} from aOffset on, rows aStride apart; b and c alike
     */
    public void addProduct(float[] a, int aOffset, int aStride, int m, float[] b, int bOffset, int bStride, int k, int n,
            float[] c, int cOffset, int cStride) {
        addTiles(a, aOffset, aStride, m, b, bOffset, bStride, k, n, c, cOffset, cStride, false);
    }

    /** As {@link #addProduct}, for a square result of which only the part on and above the diagonal is wanted. */
    public void addUpperProduct(float[] a, int aStride, int m, float[] b, int bOffset, int bStride, int k, float[] c,
            int cStride) {
        addTiles(a, 0, aStride, m, b, bOffset, bStride, k, m, c, 0, cStride, true);
    }

    private void addTiles(float[] a, int aOffset, int aStride, int m, float[] b, int bOffset, int bStride, int k, int n,
            float[] c, int cOffset, int cStride, boolean upperOnly) {
        int down = (m + TILE_ROWS - 1) / TILE_ROWS;
        int across = (n + TILE_COLUMNS - 1) / TILE_COLUMNS;
        workers.parallelFor(down * across, 1, (worker, begin, end) -> {
            for (int tile = begin; tile < end; tile++) {
                int row = tile / across * TILE_ROWS;
                int column = tile % across * TILE_COLUMNS;
                int width = Math.min(TILE_COLUMNS, n - column);
                if (upperOnly && column + width <= row) {
                    continue;
                }
                kernels.addWeightedRows(a, aOffset + row * aStride, aStride, Math.min(TILE_ROWS, m - row), b,
                        bOffset + column, bStride, k, width, c, cOffset + row * cStride + column, cStride,
                        scratch[worker]);
            }
        });
    }

    @Override
    public void close() {
        workers.close();
    }

    /** Works on the items {@code begin ≤ i < end}. */
    public interface Body {
        void run(int begin, int end);
    }
}
