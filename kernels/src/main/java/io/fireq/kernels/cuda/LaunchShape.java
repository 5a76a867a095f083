package io.fireq.kernels.cuda;

/**
 * How a kernel is launched.
 *
 * @param gridX     CTAs along x
 * @param gridY     CTAs along y, at most 65,535
 * @param gridZ     CTAs along z, at most 65,535
 * @param threads   threads per CTA
 * @param clusterX  CTAs per cluster along x; a divisor of gridX
 * @param smemBytes dynamic shared memory per CTA
 * @param overlap   whether the kernel may start before its predecessor in the stream has ended (programmatic dependent
 *                  launch); it must then wait for it itself
 */
public record LaunchShape(int gridX, int gridY, int gridZ, int threads, int clusterX, int smemBytes, boolean overlap) {
    private static final int MAX_GRID_YZ = 65_535;
    private static final int MAX_THREADS = 1024;

    public LaunchShape {
        if (gridX < 1 || gridY < 1 || gridZ < 1 || gridY > MAX_GRID_YZ || gridZ > MAX_GRID_YZ || threads < 1
                || threads > MAX_THREADS || clusterX < 1 || gridX % clusterX != 0 || smemBytes < 0) {
            throw new IllegalArgumentException(("LaunchShape: grid %dx%dx%d, %d threads, clusters of %d, %,d bytes of "
                    + "shared memory; required: grid x 1.., y and z 1..65535, threads 1..1024, cluster a divisor of x")
                    .formatted(gridX, gridY, gridZ, threads, clusterX, smemBytes));
        }
    }

    /** One-dimensional grid without shared memory. */
    public static LaunchShape of(int gridX, int threads) {
        return new LaunchShape(gridX, 1, 1, threads, 1, 0, false);
    }

    /** This shape with another grid. */
    public LaunchShape grid(int x, int y, int z) {
        return new LaunchShape(x, y, z, threads, clusterX, smemBytes, overlap);
    }

    /** This shape with clusters of {@code x} CTAs. */
    public LaunchShape cluster(int x) {
        return new LaunchShape(gridX, gridY, gridZ, threads, x, smemBytes, overlap);
    }

    /** This shape with dynamic shared memory. */
    public LaunchShape smem(int bytes) {
        return new LaunchShape(gridX, gridY, gridZ, threads, clusterX, bytes, overlap);
    }

    /** This shape with programmatic dependent launch. */
    public LaunchShape overlapping() {
        return new LaunchShape(gridX, gridY, gridZ, threads, clusterX, smemBytes, true);
    }

    @Override
    public String toString() {
        return "grid=%dx%dx%d, threads=%d%s, smem=%,d".formatted(gridX, gridY, gridZ, threads,
                clusterX == 1 ? "" : ", cluster=" + clusterX, smemBytes);
    }
}
