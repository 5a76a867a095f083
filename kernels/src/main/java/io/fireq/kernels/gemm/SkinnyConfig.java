package io.fireq.kernels.gemm;

import io.fireq.kernels.catalog.KernelConfig;
import io.fireq.kernels.catalog.KernelSpec;

/**
 * One instance of {@code sm90_e4m3_skinny}.
 *
 * @param tileM    the most tokens, a multiple of 8
 * @param epilogue what happens to the sums
 * @param outF32   whether the output is float32
 */
record SkinnyConfig(int tileM, Epilogue epilogue, boolean outF32) {
    /** Rows of a strip. */
    static final int STRIP_ROWS = 16;

    private static final int SMEM_BYTES_PER_CTA = 200 << 10;
    private static final int WARP_SIZE = 32;
    private static final int WARPS = 8;
    private static final int STRIPS = 2;
    private static final int MAX_STAGES = 4;

    /** Those that multiply and those that add up, one for each fragment of 16 rows and 8 tokens. */
    int threads() {
        return (WARPS + fragments()) * WARP_SIZE;
    }

    private int fragments() {
        return STRIPS * tileM / 8;
    }

    /** Slots of each warp's ring: as many as leave room for a small kernel beside this one. */
    private int stages() {
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
        int ring = stages * ((tileM + STRIPS * STRIP_ROWS) * GemmConfig.TILE_K + Long.BYTES);
        int sums = fragments() * 4 * WARP_SIZE * Float.BYTES;
        return WARPS * (ring + sums) + 2 * STRIPS * Long.BYTES;
    }

    KernelSpec spec() {
        return new KernelSpec("gemm/sm90_e4m3_skinny.cuh", "sm90_e4m3_skinny", KernelConfig.empty()
                .with("TILE_M", tileM).with("WARPS", WARPS).with("STAGES", stages()).with("STRIPS", STRIPS)
                .with("EPILOGUE", epilogue.ordinal()).with("OUT_F32", outF32).with("SMEM_BYTES", smemBytes()), true);
    }

    /** For tables: {@code skinny 8x32}. */
    String describe() {
        return "skinny %dx%d".formatted(tileM, STRIP_ROWS * STRIPS);
    }
}
