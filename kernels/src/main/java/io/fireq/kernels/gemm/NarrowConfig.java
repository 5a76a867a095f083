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

    private static final int WARP_SIZE = 32;
    private static final int FRAGMENT_BYTES = WARP_SIZE * 4 * Float.BYTES;

    /** Four, where they have registers for the sums. */
    private int warpgroups() {
        return tileM >= 32 && groups > 1 ? 3 : 4;
    }

    int threads() {
        return warpgroups() * (STRIPS + 1) * WARP_SIZE;
    }

    /**
     * Whether sums of a block go to float32 registers: where registers are few that would cost more than the rounding of
     * the tensor core's own sums is worth.
     */
    boolean promote() {
        return tileM <= 16;
    }

    /** Slots of weights of each warpgroup: few, for what is loaded early keeps others waiting, x among them. */
    private int stages() {
        return groups > 1 ? 4 : 3;
    }

    /** Slots of x: for the blocks that the weights' slots hold, and what is multiplied. */
    private int xStages() {
        return groups > 1 ? 3 : tileM <= 32 ? 5 : 4;
    }

    /** Dynamic shared memory; the kernel asserts that it lays out the same. */
    int smemBytes() {
        int fragments = groups * STRIPS * tileM / 8;
        int rings = warpgroups()
                * (xStages() * tileM * GemmConfig.TILE_K + stages() * Int4Fp8WeightLayout.CHUNK_BYTES);
        int sums = warpgroups() * fragments * FRAGMENT_BYTES;
        int received = cluster == 1 ? 0 : fragments / 2 * FRAGMENT_BYTES;
        return Math.max(rings, sums) + received + (2 * warpgroups() * (stages() + xStages()) + 1) * Long.BYTES;
    }

    KernelSpec spec() {
        return new KernelSpec("gemm/sm90_int4_fp8_narrow.cuh", "sm90_int4_fp8_narrow", KernelConfig.empty()
                .with("TILE_M", tileM).with("WARPGROUPS", warpgroups()).with("GROUPS", groups).with("STAGES", stages())
                .with("X_STAGES", xStages()).with("CLUSTER", cluster).with("PROMOTE", promote())
                .with("SIGN_MAGNITUDE", signMagnitude).with("EPILOGUE", epilogue.ordinal()).with("OUT_F32", outF32)
                .with("SMEM_BYTES", smemBytes()), true);
    }

    /** For tables: {@code narrow 64x128 cluster2}. */
    String describe() {
        return "narrow %dx%d%s".formatted(tileM, groups * STRIPS * Int4Fp8WeightLayout.STRIP_ROWS,
                cluster > 1 ? " cluster" + cluster : "");
    }
}
