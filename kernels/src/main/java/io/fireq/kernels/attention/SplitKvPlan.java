package io.fireq.kernels.attention;

/**
 * How many CTAs share the positions of one sequence in {@code sm90_int4kv_decode}. The number is fixed when a graph is
 * recorded, for the longest sequence it may meet; the kernel uses fewer where a sequence is shorter.
 *
 * @param maxSplits     grid dimension
 * @param minSplitTiles tiles that a split has at least, where the sequence has as many
 */
public record SplitKvPlan(int maxSplits, int minSplitTiles) {
    /** Positions of a tile. */
    static final int TILE = 32;
    /** Below this a CTA's start and the merge cost more than the split saves: a tile for each of four warps. */
    private static final int MIN_SPLIT_TILES = 4;
    private static final int MAX_SPLITS = 128;
    /** What a CTA's start and end cost, in positions that it could have read meanwhile. */
    private static final double CTA_POSITIONS = 96;
    /** What merging one more split costs, likewise. */
    private static final double MERGE_POSITIONS = 1.5;

    /**
     * The cheapest number of splits, by a model: CTAs run in waves of {@code ctasAtOnce}, each as long as its positions
     * and its start take, and the last CTA merges one split after another.
     *
     * @param nRows      sequences times KV heads times column blocks
     * @param maxKvLen   longest sequence
     * @param ctasAtOnce CTAs that the device holds
     */
    public static SplitKvPlan of(int nRows, int maxKvLen, int ctasAtOnce) {
        if (nRows < 1 || maxKvLen < 1 || ctasAtOnce < 1) {
            throw new IllegalArgumentException("SplitKvPlan: %d rows, %d positions, %d CTAs; required 1 or more"
                    .formatted(nRows, maxKvLen, ctasAtOnce));
        }
        int nTiles = (maxKvLen + TILE - 1) / TILE;
        int most = Math.min(MAX_SPLITS, (nTiles + MIN_SPLIT_TILES - 1) / MIN_SPLIT_TILES);
        int best = 1;
        double bestCost = Double.POSITIVE_INFINITY;
        for (int splits = 1; splits <= most; splits++) {
            long ctas = (long) nRows * splits;
            long waves = (ctas + ctasAtOnce - 1) / ctasAtOnce;
            double positions = Math.ceil((double) nTiles / splits) * TILE;
            double cost = waves * (positions + CTA_POSITIONS) + (splits > 1 ? splits * MERGE_POSITIONS : 0);
            if (cost < bestCost) {
                best = splits;
                bestCost = cost;
            }
        }
        return new SplitKvPlan(best, MIN_SPLIT_TILES);
    }
}
