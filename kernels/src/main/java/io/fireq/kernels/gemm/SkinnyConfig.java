package io.fireq.kernels.gemm;

import io.fireq.kernels.catalog.KernelConfig;
import io.fireq.kernels.catalog.KernelSpec;

/**
 * One instance of {@code sm90_int4_fp8_skinny}.
 *
 * @param tileM         the most tokens, a multiple of 8
 * @param strips        strips of 16 packed rows that a CTA works on at a time
 * @param weightBits    4 for packed int4, 8 for e4m3
 * @param signMagnitude whether int4 codes are a sign and an index, {@link Int4Levels}
 * @param epilogue      what happens to the sums
 * @param outF32        whether the output is float32
 */
record SkinnyConfig(int tileM, int strips, int weightBits, boolean signMagnitude, Epilogue epilogue, boolean outF32) {
    private static final int SMEM_BYTES_PER_CTA = 200 << 10;
    private static final int WARP_SIZE = 32;

    /** Int4 needs the more, to decode. */
    private int warps() {
        return weightBits == 4 ? 16 : 8;
    }

    /** Those that multiply and those that add up, one for each fragment of 16 rows and 8 tokens. */
    int threads() {
        return (warps() + fragments()) * WARP_SIZE;
    }

    private int fragments() {
        return strips * tileM / 8;
    }

    private int xBytes() {
        return tileM * GemmConfig.TILE_K;
    }

    private int stripBytes() {
        return weightBits == 4 ? Int4Fp8WeightLayout.STRIP_BYTES : Int4Fp8WeightLayout.STRIP_ROWS * GemmConfig.TILE_K;
    }

    /** Slots of each warp's ring: as many as leave room for a small kernel beside this one. */
    private int stages() {
        int stages = 1;
        while (stages < (weightBits == 4 ? 2 : 4) && smemBytes(stages + 1) <= SMEM_BYTES_PER_CTA) {
            stages++;
        }
        return stages;
    }

    /** Dynamic shared memory; the kernel asserts that it lays out the same. */
    int smemBytes() {
        return smemBytes(stages());
    }

    private int smemBytes(int stages) {
        int ring = stages * (xBytes() + strips * stripBytes() + Long.BYTES);
        int sums = 2 * fragments() * 4 * WARP_SIZE * Float.BYTES;
        return warps() * (ring + sums) + 4 * Long.BYTES;
    }

    KernelSpec spec() {
        return new KernelSpec("gemm/sm90_int4_fp8_skinny.cuh", "sm90_int4_fp8_skinny", KernelConfig.empty()
                .with("TILE_M", tileM).with("WARPS", warps()).with("STAGES", stages()).with("STRIPS", strips)
                .with("WEIGHT_BITS", weightBits).with("SIGN_MAGNITUDE", signMagnitude)
                .with("EPILOGUE", epilogue.ordinal()).with("OUT_F32", outF32).with("SMEM_BYTES", smemBytes()), true);
    }

    /** For tables: {@code skinny 8x32}. */
    String describe() {
        return "skinny %dx%d".formatted(tileM, 16 * strips);
    }
}
