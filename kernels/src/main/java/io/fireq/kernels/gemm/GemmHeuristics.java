package io.fireq.kernels.gemm;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * Picks the kernel for a problem of {@code sm90_int4_fp8_gemm}: the one that measured times, interpolated by a line for
 * each tile, promise to be the fastest. A pure function of its arguments.
 */
final class GemmHeuristics {
    /**
     * A kernel and what it costs, fitted to measured times: performance note 0004.
     *
     * @param config         as an int4 kernel without epilogue
     * @param launchMicros   filling the device and, where the reduction is cut, exchanging partial sums
     * @param blockMicros    128 columns of one tile
     * @param tileMicros     beginning and storing a tile
     */
    record Tile(GemmConfig config, double launchMicros, double blockMicros, double tileMicros) {}

    /** The tiles there are. */
    static final List<Tile> TILES = List.of(
            new Tile(config(32, 1, true, true, false), 6.75, 0.314, 1.9),
            new Tile(config(64, 1, true, true, false), 6.75, 0.412, 3.7),
            new Tile(config(128, 1, true, true, true), 9.75, 0.531, 2.5),
            new Tile(config(128, 2, false, true, true), 0, 0.577, 1.8),
            new Tile(config(256, 2, true, false, true), 18, 0.75, 3.8),
            new Tile(config(256, 2, false, false, true), 0, 0.75, 3.8));

    private GemmHeuristics() {}

    private static GemmConfig config(int tileM, int cluster, boolean splitK, boolean promote, boolean staged) {
        return new GemmConfig(tileM, 2, cluster, splitK, promote, staged, 4, false, Epilogue.STORE, false);
    }

    /** The kernels that can serve a problem, in the order of {@link #TILES}. */
    static List<GemmPlan> candidates(GemmProblem problem, int nSms) {
        List<GemmPlan> candidates = new ArrayList<>();
        for (Tile tile : TILES) {
            GemmConfig config = tile.config;
            if (exists(config, problem.weightBits(), problem.outF32()) && (problem.stageable() || !config.staged())
                    && problem.packedRows() % (problem.weightBits() == 4 ? config.tileN() * config.cluster() : 1) == 0) {
                candidates.add(plan(tile, problem, nSms));
            }
        }
        return candidates;
    }

    /**
     * Whether a tile is built for a weight format and output: few tokens of int4 weights are {@link NarrowGemm}'s, and the
     * widest tile with a cut reduction has no registers left for e4m3 weights.
     */
    static boolean exists(GemmConfig tile, int weightBits, boolean outF32) {
        boolean fits = weightBits == 4 ? tile.tileM() > 32 : !(tile.splitK() && tile.tileM() == 256);
        return fits && (!outF32 || !tile.staged());
    }

    /** The plan with the lowest cost. */
    static GemmPlan choose(GemmProblem problem, int nSms) {
        return candidates(problem, nSms).stream()
                .min(Comparator.comparingDouble(GemmPlan::micros))
                .orElseThrow(() -> new IllegalStateException("No kernel for " + problem));
    }

    private static GemmPlan plan(Tile tile, GemmProblem problem, int nSms) {
        GemmConfig config = tile.config;
        long tiles = ceilDiv(problem.m(), config.tileM()) * tilesN(config, problem.packedRows());
        long blocks = tiles * problem.kBlocks();
        int workers = (int) Math.min(nSms / config.cluster(), config.splitK() ? blocks : tiles);
        long share = config.splitK() ? ceilDiv(blocks, workers) : ceilDiv(tiles, workers) * problem.kBlocks();
        double tilesOfWorker = Math.max(1, (double) share / problem.kBlocks());
        double micros = tile.launchMicros + share * tile.blockMicros + tilesOfWorker * tile.tileMicros;
        return new GemmPlan(config.with(problem.weightBits(), problem.signMagnitude(), problem.epilogue(), problem.outF32()),
                workers * config.cluster(), micros);
    }

    /** Tiles along the packed rows, counted in clusters. */
    static int tilesN(GemmConfig config, int packedRows) {
        return (int) ceilDiv(packedRows, (long) config.tileN() * config.cluster());
    }

    private static long ceilDiv(long a, long b) {
        return (a + b - 1) / b;
    }
}
