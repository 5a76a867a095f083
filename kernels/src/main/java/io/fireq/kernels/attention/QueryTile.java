package io.fireq.kernels.attention;

/**
 * How the prefill kernel shares a CTA's query rows (new tokens times the query heads of a KV head) among warpgroups
 * of 64 rows.
 */
enum QueryTile {
    /** The paper's pipeline: Q·Kᵀ of tile j+2, softmax of j+1 and P·V of j in flight. Fills the device sooner. */
    TWO_WARPGROUPS(2, true, 24, 240),
    /** Q·Kᵀ of tile j+1 beside the softmax of j; a third warpgroup hides what the shorter pipeline leaves open. */
    THREE_WARPGROUPS(3, false, 32, 160);

    /** What every tile can take. */
    static final int MAX_HEADS_PER_KV = TWO_WARPGROUPS.rows();

    /** Items per SM from which the larger tile's uneven last wave costs less than it saves (performance note 0004). */
    private static final int ITEMS_PER_SM = 4;

    private final int warpgroups;
    private final boolean threeStages;
    private final int producerRegisters;
    private final int consumerRegisters;

    QueryTile(int warpgroups, boolean threeStages, int producerRegisters, int consumerRegisters) {
        this.warpgroups = warpgroups;
        this.threeStages = threeStages;
        this.producerRegisters = producerRegisters;
        this.consumerRegisters = consumerRegisters;
    }

    /** The tile for a batch of {@code nTokens} new tokens with {@code nHeads} query heads on {@code nSms} SMs. */
    static QueryTile of(int nTokens, int nHeads, int nSms) {
        long items = (long) nTokens * nHeads / THREE_WARPGROUPS.rows();
        return items >= (long) ITEMS_PER_SM * nSms ? THREE_WARPGROUPS : TWO_WARPGROUPS;
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

    /** Per thread after the warpgroups have exchanged registers. */
    int producerRegisters() {
        return producerRegisters;
    }

    int consumerRegisters() {
        return consumerRegisters;
    }
}
