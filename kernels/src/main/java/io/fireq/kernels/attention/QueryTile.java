package io.fireq.kernels.attention;

import java.util.Arrays;

/**
 * How the prefill kernel shares a CTA's query rows (new tokens times the query heads of a KV head) among warpgroups
 * of 64 rows, and how long its KV tiles are.
 */
enum QueryTile {
    /** The paper's pipeline: Q·Kᵀ of tile j+2, softmax of j+1 and P·V of j in flight. */
    THREE_STAGES(2, true, 64, 24, 240),
    /** Q·Kᵀ of tile j+1 beside P·V of j; a third warpgroup hides what the shorter pipeline leaves open. */
    THREE_WARPGROUPS(3, false, 64, 32, 160),
    /** The same with longer tiles and two warpgroups that take turns: one's products run beside the other's softmax. */
    TURNS(2, false, 128, 24, 240);

    /** What every tile can take. */
    static final int MAX_HEADS_PER_KV = 128;

    /** Positions of KV in shared memory. */
    private static final int POSITIONS_IN_RING = 512;
    /** Items per SM from which a third warpgroup's uneven last wave costs less than it saves. */
    private static final int ITEMS_PER_SM = 4;

    private final int warpgroups;
    private final boolean threeStages;
    private final int kvTile;
    private final int producerRegisters;
    private final int consumerRegisters;

    QueryTile(int warpgroups, boolean threeStages, int kvTile, int producerRegisters, int consumerRegisters) {
        this.warpgroups = warpgroups;
        this.threeStages = threeStages;
        this.kvTile = kvTile;
        this.producerRegisters = producerRegisters;
        this.consumerRegisters = consumerRegisters;
    }

    /**
     * The fastest (performance note 0005) for a batch of {@code nTokens} new tokens with {@code nHeads} query heads on
     * {@code nSms} SMs.
     */
    static QueryTile of(int headDim, int nTokens, int nHeads, int nSms) {
        if (headDim == 128) {
            return TURNS;
        }
        long items = (long) nTokens * nHeads / THREE_WARPGROUPS.rows();
        return items >= (long) ITEMS_PER_SM * nSms ? THREE_WARPGROUPS : THREE_STAGES;
    }

    /** The fewest rows of any. */
    static int leastRows() {
        return Arrays.stream(values()).mapToInt(QueryTile::rows).min().orElseThrow();
    }

    int warpgroups() {
        return warpgroups;
    }

    int rows() {
        return 64 * warpgroups;
    }

    /** With the producer's warpgroup. */
    int threads() {
        return 128 * (1 + warpgroups);
    }

    boolean threeStages() {
        return threeStages;
    }

    /** Positions of a KV tile. */
    int kvTile() {
        return kvTile;
    }

    /** KV tiles in shared memory. */
    int kvStages() {
        return POSITIONS_IN_RING / kvTile;
    }

    /** KV tiles of a sequence. */
    int tiles(int nPositions) {
        return (nPositions + kvTile - 1) / kvTile;
    }

    /** Per thread after the warpgroups have exchanged registers. */
    int producerRegisters() {
        return producerRegisters;
    }

    int consumerRegisters() {
        return consumerRegisters;
    }
}
