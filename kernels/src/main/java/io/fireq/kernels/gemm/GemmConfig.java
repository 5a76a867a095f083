package io.fireq.kernels.gemm;

import io.fireq.kernels.catalog.KernelConfig;
import io.fireq.kernels.catalog.KernelSpec;

/**
 * One instance of {@code sm90_int4_fp8_gemm}: its tile, how it is fed and how it stores.
 *
 * @param tileM      tokens of a tile
 * @param warpgroups consumer warpgroups; a tile has 64 packed rows for each
 * @param cluster    CTAs that share the tokens of a tile by multicast
 * @param splitK     whether the reduction is cut into equal shares among all CTAs
 * @param promote    whether the tensor core's sums move to float32 registers every 128 columns
 * @param staged     whether the result leaves through shared memory and TMA
 * @param weightBits 4 for packed int4, 8 for e4m3
 * @param signMagnitude whether int4 codes are a sign and an index, {@link Int4Levels}
 * @param epilogue   what happens to the sums
 * @param outF32     whether the output is float32
 */
record GemmConfig(int tileM, int warpgroups, int cluster, boolean splitK, boolean promote, boolean staged, int weightBits,
        boolean signMagnitude, Epilogue epilogue, boolean outF32) {
    static final int TILE_K = Int4Fp8WeightLayout.TILE_K;
    static final int CHUNK_ROWS = Int4Fp8WeightLayout.CHUNK_ROWS;

    /** Tokens that leave through shared memory at a time. */
    static final int OUT_TOKENS = 32;

    private static final int WARPGROUP_THREADS = 128;
    private static final int SMEM_BYTES_PER_CTA = 232_448;
    private static final int MAX_STAGES = 16;
    private static final int SWIZZLE_ATOM_BYTES = 1024;

    /** This kernel for another weight format, epilogue and output. */
    GemmConfig with(int newWeightBits, boolean newSignMagnitude, Epilogue newEpilogue, boolean newOutF32) {
        return new GemmConfig(tileM, warpgroups, cluster, splitK, promote, staged, newWeightBits, newSignMagnitude,
                newEpilogue, newOutF32);
    }

    /** Packed rows of a tile. */
    int tileN() {
        return warpgroups * CHUNK_ROWS;
    }

    /** Output channels that a warpgroup stores. */
    int channelsPerWarpgroup() {
        return epilogue == Epilogue.SILU_MUL ? CHUNK_ROWS / 2 : CHUNK_ROWS;
    }

    /** The consumers' threads and the producer's warpgroup. */
    int threads() {
        return (warpgroups + 1) * WARPGROUP_THREADS;
    }

    /** Bytes of weights that a CTA loads for one block of 128 columns. */
    int weightBytesPerBlock() {
        return warpgroups * (weightBits == 4 ? Int4Fp8WeightLayout.CHUNK_BYTES : CHUNK_ROWS * TILE_K);
    }

    /** Bytes of activations in one slot. */
    int xBytesPerBlock() {
        return tileM * TILE_K;
    }

    /** Slots of the ring: as many as shared memory holds. */
    int stages() {
        int stages = 1;
        while (stages < MAX_STAGES && smemBytes(stages + 1) <= SMEM_BYTES_PER_CTA) {
            stages++;
        }
        return stages;
    }

    /** Dynamic shared memory; the kernel asserts that it lays out the same. */
    int smemBytes() {
        return smemBytes(stages());
    }

    private int smemBytes(int stages) {
        int ring = stages * (xBytesPerBlock() + weightBytesPerBlock());
        int barriers = 8 * (2 * stages + warpgroups) + 4 * warpgroups;
        int outFrom = (ring + barriers + SWIZZLE_ATOM_BYTES - 1) / SWIZZLE_ATOM_BYTES * SWIZZLE_ATOM_BYTES;
        int outTiles = staged ? tileM * channelsPerWarpgroup() * 2 : 0;
        int scales = staged ? 4 * tileM : 0;
        return outFrom + warpgroups * (outTiles + scales);
    }

    /** Floats of workspace that each CTA of a launch needs, {@code split_k.cuh}. */
    long partialFloatsPerCta() {
        return splitK ? 2L * tileM * tileN() : 0;
    }

    KernelSpec spec() {
        return new KernelSpec("gemm/sm90_int4_fp8_gemm.cuh", "sm90_int4_fp8_gemm", KernelConfig.empty()
                .with("TILE_M", tileM).with("WARPGROUPS", warpgroups).with("STAGES", stages()).with("CLUSTER", cluster)
                .with("WEIGHT_BITS", weightBits).with("SIGN_MAGNITUDE", signMagnitude).with("EPILOGUE", epilogue.ordinal()).with("OUT_F32", outF32)
                .with("STAGED", staged).with("SPLIT_K", splitK).with("PROMOTE", promote)
                .with("SMEM_BYTES", smemBytes()), true);
    }

    /** For tables: {@code 256x128 cluster2 staged}. */
    String describe() {
        return "%dx%d%s%s%s%s".formatted(tileM, tileN(), cluster > 1 ? " cluster" + cluster : "",
                splitK ? " split" : "", staged ? " staged" : "", promote ? " promote" : "");
    }
}
