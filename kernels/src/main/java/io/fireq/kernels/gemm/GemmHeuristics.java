package io.fireq.kernels.gemm;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;

/**
 * Picks the kernel for a problem: the one with the lowest estimate of a small cost model over {@link #TILES}. A pure
 * function of its arguments.
 */
final class GemmHeuristics {
    /** The tiles there are, as int4 kernels without epilogue. */
    static final List<GemmConfig> TILES = List.of(
            tile(8, 2, 1, true, true, false),
            tile(8, 4, 1, true, true, false),
            tile(16, 2, 1, true, true, false),
            tile(16, 4, 1, true, true, false),
            tile(32, 2, 1, true, true, false),
            tile(32, 4, 1, true, true, false),
            tile(64, 2, 1, true, true, false),
            tile(128, 2, 1, true, true, true),
            tile(128, 2, 2, false, true, true),
            tile(256, 2, 2, false, false, true));

    /** Cycles in which a tensor core multiplies 64 x 8 x 32, and the least that one instruction takes. */
    private static final double MMA_CYCLES_PER_8_TOKENS = 4;
    private static final double MMA_MIN_CYCLES = 24;
    /** Cycles of the integer pipe to decode one chunk, with its tables. */
    private static final double DECODE_CYCLES_PER_CHUNK = 230;
    /** An SM's share of HBM and of L2. */
    private static final double HBM_BYTES_PER_CYCLE = 18;
    private static final double L2_BYTES_PER_CYCLE = 34;
    /** Barriers and latencies of one block that nothing hides. */
    private static final double BLOCK_OVERHEAD_CYCLES = 40;
    /** Filling the ring and storing a tile. */
    private static final double TILE_OVERHEAD_CYCLES = 900;
    private static final double STORE_CYCLES_PER_TOKEN = 6;
    /** Exchanging one piece of a tile through L2. */
    private static final double PIECE_LATENCY_CYCLES = 1500;
    private static final double PIECE_BYTES_PER_CYCLE = 24;

    private GemmHeuristics() {}

    private static GemmConfig tile(int tileM, int warpgroups, int cluster, boolean splitK, boolean promote,
            boolean staged) {
        return new GemmConfig(tileM, warpgroups, cluster, splitK, promote, staged, 4, false, Epilogue.STORE, false);
    }

    /** The kernels that can serve a problem, in the order of {@link #TILES}. */
    static List<GemmConfig> candidates(GemmProblem problem) {
        List<GemmConfig> candidates = new ArrayList<>();
        for (GemmConfig tile : TILES) {
            if (exists(tile, problem.weightBits(), problem.outF32()) && (problem.stageable() || !tile.staged())
                    && problem.packedRows() % (problem.weightBits() == 4 ? tile.tileN() * tile.cluster() : 1) == 0) {
                candidates.add(tile.with(problem.weightBits(), problem.signMagnitude(), problem.epilogue(), problem.outF32()));
            }
        }
        return candidates;
    }

    /** Whether a tile is built for a weight format and output; float32 results are for the head, whose batches are small. */
    static boolean exists(GemmConfig tile, int weightBits, boolean outF32) {
        boolean narrow = tile.warpgroups() == 2;
        return (!outF32 || !tile.staged()) && (weightBits == 4 || narrow);
    }

    /** The plan with the lowest estimate. */
    static GemmPlan choose(GemmProblem problem, int nSms) {
        return candidates(problem).stream()
                .map(config -> plan(config, problem, nSms))
                .min(Comparator.comparingDouble(GemmPlan::cost))
                .orElseThrow(() -> new IllegalStateException("No kernel for " + problem));
    }

    /** How a given kernel is launched for a problem. */
    static GemmPlan plan(GemmConfig config, GemmProblem problem, int nSms) {
        long tilesM = ceilDiv(problem.m(), config.tileM());
        long tilesN = tilesN(config, problem.packedRows());
        long tiles = tilesM * tilesN;
        int workers = nSms / config.cluster();
        double block = blockCycles(config, tilesM == 1);
        double tileEnd = TILE_OVERHEAD_CYCLES + STORE_CYCLES_PER_TOKEN * config.tileM();
        double cost;
        if (config.splitK()) {
            long units = tiles * problem.kBlocks();
            workers = (int) Math.min(workers, units);
            double share = Math.ceil((double) units / workers);
            double pieces = Math.max(1, Math.ceil(problem.kBlocks() / share));
            double pieceBytes = 4.0 * config.tileM() * config.tileN();
            boolean cut = tiles % workers != 0;
            double exchange = cut
                    ? PIECE_LATENCY_CYCLES + (pieces + 2) * pieceBytes / PIECE_BYTES_PER_CYCLE
                    : 0;
            cost = share * block + exchange + Math.max(1, share / problem.kBlocks()) * tileEnd;
        } else {
            workers = (int) Math.min(workers, tiles);
            cost = Math.ceil((double) tiles / workers) * (problem.kBlocks() * block + tileEnd);
        }
        return new GemmPlan(config, workers * config.cluster(), cost);
    }

    /** Tiles along the packed rows, counted in clusters. */
    static int tilesN(GemmConfig config, int packedRows) {
        return (int) ceilDiv(packedRows, (long) config.tileN() * config.cluster());
    }

    private static double blockCycles(GemmConfig config, boolean weightsReadOnce) {
        double multiply = config.warpgroups() * 4 * Math.max(MMA_MIN_CYCLES, config.tileM() / 8.0 * MMA_CYCLES_PER_8_TOKENS);
        double decode = config.weightBits() == 4 ? config.warpgroups() * DECODE_CYCLES_PER_CHUNK : 0;
        double weights = config.weightBytesPerBlock() / (weightsReadOnce ? HBM_BYTES_PER_CYCLE : L2_BYTES_PER_CYCLE);
        double activations = config.xBytesPerBlock() / (L2_BYTES_PER_CYCLE * config.cluster());
        return Math.max(Math.max(multiply, decode), weights + activations) + BLOCK_OVERHEAD_CYCLES;
    }

    private static long ceilDiv(long a, long b) {
        return (a + b - 1) / b;
    }
}
