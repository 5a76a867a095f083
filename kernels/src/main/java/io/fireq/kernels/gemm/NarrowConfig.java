package io.fireq.kernels.gemm;

import io.fireq.kernels.catalog.KernelConfig;
import io.fireq.kernels.catalog.KernelSpec;

/**
 * One instance of {@code sm90_int4_fp8_narrow}.
 *
 * @param tileM         the most tokens: 8, 16, 32 or 64
 * @param groups        groups of four strips that a CTA works on at a time: 1, 2 or 4
 * @param cluster       CTAs that share the columns of their strips: 1, or 2 with one group
 * @param signMagnitude whether int4 codes are a sign and an index, {@link Int4Levels}
 * @param epilogue      what happens to the sums
 * @param outF32        whether the output is float32
 */
record NarrowConfig(int tileM, int groups, int cluster, boolean signMagnitude, Epilogue epilogue, boolean outF32) {
    /** Strips of a group: one for each warp of a warpgroup. */
    static final int STRIPS = Int4Fp8WeightLayout.CHUNK_ROWS / Int4Fp8WeightLayout.STRIP_ROWS;

    private static final int WARPGROUPS = 4;
    /** Tokens times groups for whose sums a warpgroup has registers. */
    private static final int MOST_SUMS = 64;
    private static final int MOST_PROMOTED_SUMS = 32;
    private static final int MOST_REGISTERS = 96;
    private static final int WARP_SIZE = 32;
    private static final int FRAGMENT_BYTES = WARP_SIZE * 4 * Float.BYTES;

    /** Rows of warpgroups that share the columns of the same strips. */
    private int kShares() {
        return WARPGROUPS / abreast();
    }

    /** Warpgroups that share a pass's strips over the same columns, where one has no registers for the sums of all. */
    private int abreast() {
        return Math.max(1, groups * tileM / (promote() ? MOST_PROMOTED_SUMS : MOST_SUMS));
    }

    int threads() {
        return WARPGROUPS * (STRIPS + 1) * WARP_SIZE;
    }

    /**
     * Whether sums of a block go to float32 registers: where registers are few that would cost more than the rounding of
     * the tensor core's own sums is worth.
     */
    boolean promote() {
        return tileM <= 16;
    }

    /**
     * Slots of x: for the blocks that the weights' slots hold, and what is multiplied; as many steps go through them as
     * through whole rounds of the weights' slots.
     */
    private int xStages() {
        return groups / abreast() == 4 ? 2 : stages() == 3 ? 6 : 4;
    }

    /** Slots of weights of each warpgroup: few, for what is loaded early keeps others waiting, x among them. */
    private int stages() {
        return groups == 1 && tileM < 64 ? 3 : 4;
    }

    /** Dynamic shared memory; the kernel asserts that it lays out the same. */
    int smemBytes() {
        int fragments = groups * STRIPS * tileM / 8;
        int rings = kShares() * xStages() * tileM * GemmConfig.TILE_K
                + WARPGROUPS * stages() * Int4Fp8WeightLayout.CHUNK_BYTES;
        int sums = kShares() * fragments * FRAGMENT_BYTES;
        int received = cluster == 1 ? 0 : fragments / 2 * FRAGMENT_BYTES;
        int scales = tileM + groups * STRIPS * Int4Fp8WeightLayout.STRIP_ROWS;
        int barriers = 2 * (WARPGROUPS * stages() + kShares() * xStages()) + 1;
        return Math.max(rings, sums) + received + scales * Float.BYTES + barriers * Long.BYTES;
    }

    /** Registers of a thread: what a CTA does not take, one of the kernel ahead or behind can run beside it. */
    private int maxRegisters() {
        int registers = switch (tileM) {
            case 8 -> 64;
            case 16 -> 72;
            case 32 -> 80;
            default -> 96;
        } + (groups > 1 ? 16 : 0);
        return Math.min(MOST_REGISTERS, signMagnitude ? registers : registers + 16);
    }

    KernelSpec spec() {
        return new KernelSpec("gemm/sm90_int4_fp8_narrow.cuh", "sm90_int4_fp8_narrow", KernelConfig.empty()
                .with("TILE_M", tileM).with("WARPGROUPS", WARPGROUPS).with("ABREAST", abreast())
                .with("GROUPS", groups / abreast()).with("STAGES", stages()).with("X_STAGES", xStages())
                .with("CLUSTER", cluster).with("PROMOTE", promote()).with("SIGN_MAGNITUDE", signMagnitude)
                .with("EPILOGUE", epilogue.ordinal()).with("OUT_F32", outF32).with("SMEM_BYTES", smemBytes())
                .with("MAX_REGISTERS", maxRegisters()), true);
    }

    /** For tables: {@code narrow 64x128 cluster2}. */
    String describe() {
        return "narrow %dx%d%s".formatted(tileM, groups * STRIPS * Int4Fp8WeightLayout.STRIP_ROWS,
                cluster > 1 ? " cluster" + cluster : "");
    }
}
