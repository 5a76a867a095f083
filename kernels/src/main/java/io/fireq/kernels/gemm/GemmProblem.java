package io.fireq.kernels.gemm;

/**
 * What a linear layer asks of the GPU.
 *
 * @param m          tokens
 * @param packedRows rows of the weight, for int4 with padding
 * @param kBlocks    blocks of 128 columns
 * @param weightBits 4 or 8
 * @param signMagnitude whether int4 codes are a sign and an index, {@link Int4Levels}
 * @param epilogue   what happens to the sums
 * @param outF32     whether the output is float32
 * @param stageable  whether output rows are aligned to 16 bytes, as TMA needs
 */
record GemmProblem(int m, int packedRows, int kBlocks, int weightBits, boolean signMagnitude, Epilogue epilogue, boolean outF32,
        boolean stageable) {}
