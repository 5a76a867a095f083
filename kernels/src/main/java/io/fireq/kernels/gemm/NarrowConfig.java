package io.fireq.kernels.gemm;

import io.fireq.kernels.catalog.KernelConfig;
import io.fireq.kernels.catalog.KernelSpec;

/**
 * One instance of {@code sm90_int4_fp8_narrow}.
 *
 * @param tileM         the most tokens: 32 or 64
 * @param cluster       CTAs that share a chunk's columns: 1 or 2
 * @param signMagnitude whether int4 codes are a sign and an index, {@link Int4Levels}
 * @param epilogue      what happens to the sums
 * @param outF32        whether the output is float32
 */
record NarrowConfig(int tileM, int cluster, boolean signMagnitude, Epilogue epilogue, boolean outF32) {
    private static final int WARPGROUPS = 4;
    private static final int WARPGROUP_THREADS = 128;
    private static final int FRAGMENT_BYTES = WARPGROUP_THREADS * 4 * Float.BYTES;
    private static final int SMEM_BYTES_PER_CTA = 208 << 10;

    int threads() {
        return WARPGROUPS * WARPGROUP_THREADS;
    }

    /** Slots of each warpgroup's ring: as many as leave room for a small kernel beside this one. */
    private int stages() {
        int stages = 1;
        while (smemBytes(stages + 1) <= SMEM_BYTES_PER_CTA) {
            stages++;
        }
        return stages;
    }

    /** Dynamic shared memory; the kernel asserts that it lays out the same. */
    int smemBytes() {
        return smemBytes(stages());
    }

    private int smemBytes(int stages) {
        int slot = tileM * GemmConfig.TILE_K + Int4Fp8WeightLayout.CHUNK_BYTES + 2 * Long.BYTES;
        int shares = (WARPGROUPS - 1) * tileM / 8 * FRAGMENT_BYTES;
        int received = cluster == 1 ? 0 : tileM / 8 * FRAGMENT_BYTES / 2;
        return WARPGROUPS * stages * slot + shares + received + Long.BYTES;
    }

    KernelSpec spec() {
        return new KernelSpec("gemm/sm90_int4_fp8_narrow.cuh", "sm90_int4_fp8_narrow", KernelConfig.empty()
                .with("TILE_M", tileM).with("WARPGROUPS", WARPGROUPS).with("STAGES", stages()).with("CLUSTER", cluster)
                .with("SIGN_MAGNITUDE", signMagnitude).with("EPILOGUE", epilogue.ordinal()).with("OUT_F32", outF32)
                .with("SMEM_BYTES", smemBytes()), true);
    }

    /** For tables: {@code narrow 64 cluster2}. */
    String describe() {
        return "narrow %d%s".formatted(tileM, cluster > 1 ? " cluster" + cluster : "");
    }
}
