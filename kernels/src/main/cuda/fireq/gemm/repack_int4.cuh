/*
 * repack_int4
 *
 * Computes   kernel order from checkpoint order: packed row p holds row source(p), which is p, or for a gated weight
 *            8b + i of the gates (p = 16b + i, i < 8) and of the ups (p = 16b + 8 + i); rows and columns outside are zero
 * Operands   name         dtype   shape                         layout / alignment        lives in
 *            codes        int4    [n, ceil(k/2)] bytes          checkpoint order          weights
 *            group_scale  e4m3    [n, ceil(k / group_size)]     row-major                 weights
 *            row_scale    f32     [n]                           contiguous                weights
 *            packed       bytes   [rows / 64, k_blocks, 4160]   Int4Fp8WeightLayout       weights
 *            packed_scale f32     [rows]                        contiguous                weights
 * Numerics   exact: bits are moved and re-encoded
 * Work       grid.x CTAs cover the 4-byte words of packed; a thread writes one word
 * Pipeline   none
 * Smem map   none
 * Barriers   none
 * Requires   group_size a multiple of 128 or at least k (launcher)
 * Not for    group sizes below 128: those weights stay with PlainGemm
 * Launcher   io.fireq.kernels.gemm.RepackInt4      Oracle  io.fireq.kernels.gemm.Int4Fp8WeightLayout
 * Notes      none
 */
#pragma once

#include "fireq/common/math.cuh"
#include "fireq/gemm/int4_weight_chunk.cuh"

namespace fireq {

// The checkpoint row behind a packed row, or -1 for padding.
__device__ __forceinline__ int source_row(int packed_row, int n, bool gated) {
    if (!gated) {
        return packed_row < n ? packed_row : -1;
    }
    const int inside = packed_row % 16;
    const int channel = packed_row / 16 * 8 + inside % 8;
    if (channel >= n / 2) {
        return -1;
    }
    return inside < 8 ? channel : n / 2 + channel;
}

template <class Config>
__global__ void __launch_bounds__(Config::THREADS)
    repack_int4(const u8* __restrict__ codes, const u8* __restrict__ group_scale, const float* __restrict__ row_scale,
                u32* __restrict__ packed, float* __restrict__ packed_scale, int n, int k, int group_size, int rows,
                int k_blocks, int gated, int sign_magnitude) {
    constexpr int CHUNK_WORDS = Int4Chunk::BYTES / 4;
    constexpr int STRIP_WORDS = Int4Chunk::STRIP_BYTES / 4;
    constexpr int HALF_WORDS = Int4Chunk::HALF_BYTES / 4;
    constexpr int CODE_WORDS = Int4Chunk::CODE_BYTES / 4;
    const i64 index = i64(blockIdx.x) * Config::THREADS + threadIdx.x;
    const i64 chunk = index / CHUNK_WORDS;
    if (chunk >= i64(rows / Int4Chunk::ROWS) * k_blocks) {
        return;
    }
    const int strip = int(index % CHUNK_WORDS) / STRIP_WORDS;
    const int word = int(index % CHUNK_WORDS) % STRIP_WORDS;
    const int first_row = int(chunk / k_blocks) * Int4Chunk::ROWS + strip * Int4Chunk::STRIP_ROWS;
    const int k_block = int(chunk % k_blocks);
    u32 value = 0;
    if (word < CODE_WORDS) {
        const int lane = word % HALF_WORDS / 4;
        const int step = word / HALF_WORDS * 2 + word % 4 / 2;
        const int row = source_row(first_row + word % 2 * 8 + lane / 4, n, gated != 0);
        const int first_column = k_block * Int4Chunk::COLUMNS + step * 32 + lane % 4 * 4;
        if (row >= 0) {
            const u8* row_codes = codes + i64(row) * ((k + 1) / 2);
#pragma unroll
            for (int i = 0; i < 8; i++) {
                const int column = first_column + i / 4 * 16 + i % 4;
                if (column < k) {
                    value |= int4_in_word(int4_nibble(row_codes, column), i, sign_magnitude != 0);
                }
            }
        }
    } else {
        const int groups = ceil_div(k, group_size);
        const int group = k_block * Int4Chunk::COLUMNS / group_size;
#pragma unroll
        for (int i = 0; i < 4; i++) {
            // Bytes alternate between row r and row r + 8 of the eight lanes that start a row.
            const int at = (word - CODE_WORDS) * 4 + i;
            const int packed_row = first_row + at % 2 * 8 + at / 2;
            const int row = source_row(packed_row, n, gated != 0);
            if (row >= 0) {
                value |= u32(group_scale[i64(row) * groups + group]) << 8 * i;
            }
            if (k_block == 0) {
                packed_scale[packed_row] = row >= 0 ? row_scale[row] : 0.0f;
            }
        }
    }
    packed[index] = value;
}

}  // namespace fireq
