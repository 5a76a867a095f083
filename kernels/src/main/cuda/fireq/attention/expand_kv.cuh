/*
 * expand_kv
 *
 * Computes   for each tile of TOKENS tokens of a sequence and each KV head the record of attention/kv_tile.cuh:
 *            K and V codes as e4m3(code - 8), V transposed, scales and centres as float
 * Operands   name          dtype      shape                              layout / alignment          lives in
 *            k_*, v_*      KvLayout   see attention/paged_kv.cuh         codes 16 B                  KV cache
 *            block_tables  i32        [n_seqs, max_kv_blocks]            row-major                   step inputs
 *            tiles         ExpandTile [n_tiles]                          contiguous                  prefill plan
 *            records       KvTile     [n_tiles, n_kv_heads]              STRIDE bytes each, 16 B     workspace
 *            next_item     i32        [1]                                set to zero                 workspace
 * Numerics   exact, but for centre = zero + 8 * scale, which is rounded once to float, and the bound's log2 (2 ulp)
 * Work       grid.x tiles, grid.y KV heads; one CTA per record
 * Pipeline   none
 * Smem map   offset                    bytes                  content (static)
 *            0                         TOKENS * HEAD_DIM / 2  V codes as stored
 *            + TOKENS * HEAD_DIM / 2   TOKENS * HEAD_DIM      V rows of the record
 *            +                         8 * TOKENS             KV row of each token
 *            +                         4 * WARPS              reduction
 * Barriers   0 (__syncthreads)
 * Requires   one group per head, HEAD_DIM 64 or 128 (launcher checks); tiles inside their block tables (plan checks)
 * Not for    decode, which reads the cache once and so expands in registers
 * Launcher   io.fireq.kernels.attention.Fp8PrefillAttention      Oracle  io.fireq.kernels.attention.KvTileOracle
 * Notes      none
 */
#pragma once

#include "fireq/attention/kv_tile.cuh"
#include "fireq/attention/paged_kv.cuh"
#include "fireq/ptx/bytes.cuh"
#include "fireq/ptx/cvt.cuh"
#include "fireq/ptx/griddep.cuh"

namespace fireq {

// One entry of the plan: which tokens a record holds.
struct alignas(16) ExpandTile {
    int sequence;
    int first_position;
    int n_tokens;
    int unused;
};

// Eight nibbles, lowest first, to the bytes e4m3(nibble - 8): lo holds nibbles 0..3, hi nibbles 4..7. The cache keeps its
// nibbles whole, unlike the weights' words of quant/int4.cuh, whose signs lie apart.
__device__ __forceinline__ void kv_codes_to_e4m3x8(u32 nibbles, u32& lo, u32& hi) {
    // Nibbles below 8 become -8..-1, the others 0..7.
    constexpr u32 BELOW[2] = {0xcaccced0u, 0xb8c0c4c8u};
    constexpr u32 ABOVE[2] = {0x44403800u, 0x4e4c4a48u};
    const u32 index = nibbles & 0x77777777u;
    // Selector j takes byte j of what a nibble below 8 would be or, with the high bit, of what one above would.
    const u32 choice = (nibbles & 0x88888888u) >> 1 | 0x32103210u;
    lo = permute_bytes(permute_bytes(BELOW[0], BELOW[1], index), permute_bytes(ABOVE[0], ABOVE[1], index), choice);
    hi = permute_bytes(permute_bytes(BELOW[0], BELOW[1], index >> 16), permute_bytes(ABOVE[0], ABOVE[1], index >> 16),
                       choice >> 16);
}

template <class Config>
__global__ void __launch_bounds__(Config::THREADS)
    expand_kv(const u8* __restrict__ k_codes, const ScaleZero* __restrict__ k_params, const u8* __restrict__ v_codes,
              const ScaleZero* __restrict__ v_params, const i32* __restrict__ block_tables,
              const ExpandTile* __restrict__ tiles, u8* __restrict__ records, i32* __restrict__ next_item,
              int n_kv_heads, int kv_block_size, int max_kv_blocks) {
    constexpr int THREADS = Config::THREADS;
    constexpr int HEAD_DIM = Config::HEAD_DIM;
    constexpr int TOKENS = Config::KV_TILE;
    constexpr int ROW_BYTES = HEAD_DIM / 2;
    using Tile = KvTile<HEAD_DIM, TOKENS>;
    static_assert(THREADS >= TOKENS, "one thread per token finds its KV row");
    __shared__ alignas(16) u8 raw[TOKENS * ROW_BYTES];
    __shared__ alignas(16) u8 v_rows[HEAD_DIM * TOKENS];
    __shared__ i64 kv_row[TOKENS];
    __shared__ float scratch[CtaShape<THREADS>::WARPS];

    wait_for_previous_kernel();
    allow_next_kernel();
    if (blockIdx.x == 0 && blockIdx.y == 0 && threadIdx.x == 0) {
        *next_item = 0;
    }
    const ExpandTile tile = tiles[blockIdx.x];
    const int kv_head = blockIdx.y;
    const KvLayout layout{n_kv_heads, HEAD_DIM, HEAD_DIM, kv_block_size};
    u8* record = records + (i64(blockIdx.x) * n_kv_heads + kv_head) * Tile::STRIDE;

    // Scales and centres; tokens beyond the end are zero.
    float v_scale = 0.0f;
    if (threadIdx.x < TOKENS) {
        const int t = threadIdx.x;
        float k_scale = 0.0f, k_centre = 0.0f, v_centre = 0.0f;
        i64 row = -1;
        if (t < tile.n_tokens) {
            const int position = tile.first_position + t;
            const i32* block_table = block_tables + i64(tile.sequence) * max_kv_blocks;
            row = layout.row(block_table[position / kv_block_size], position % kv_block_size, kv_head);
            const ScaleZero k = k_params[row];
            const ScaleZero v = v_params[row];
            k_scale = to_float(k.scale);
            k_centre = fmaf(float(CODE_CENTRE), k_scale, to_float(k.zero));
            v_scale = to_float(v.scale);
            v_centre = fmaf(float(CODE_CENTRE), v_scale, to_float(v.zero));
        }
        kv_row[t] = row;
        float* k_pair = reinterpret_cast<float*>(record + Tile::K_PAIRS) + t / 2 * 4 + t % 2;
        float* v_pair = reinterpret_cast<float*>(record + Tile::V_PAIRS) + t / 2 * 4 + t % 2;
        k_pair[0] = k_scale;
        k_pair[2] = k_centre;
        v_pair[0] = v_scale;
        v_pair[2] = v_centre;
    }
    const float bound = cta_reduce<THREADS>(v_scale, scratch, Max());
    if (threadIdx.x == 0) {
        *reinterpret_cast<float*>(record + Tile::BOUND) = __log2f(bound) - LOG2_E4M3_MAX;
    }

    // K: eight bytes of codes to one piece of 16 bytes. V: as stored, for the transposition below.
    for (int i = threadIdx.x; i < TOKENS * HEAD_DIM / 16; i += THREADS) {
        const int token = i / (HEAD_DIM / 16);
        const int piece = i % (HEAD_DIM / 16);
        uint2 v = make_uint2(0x88888888u, 0x88888888u);
        uint4 e = make_uint4(0, 0, 0, 0);
        if (kv_row[token] >= 0) {
            const i64 offset = kv_row[token] * ROW_BYTES + piece * 8;
            const uint2 k = *reinterpret_cast<const uint2*>(k_codes + offset);
            v = *reinterpret_cast<const uint2*>(v_codes + offset);
            kv_codes_to_e4m3x8(k.x, e.x, e.y);
            kv_codes_to_e4m3x8(k.y, e.z, e.w);
        }
        *reinterpret_cast<uint4*>(record + Tile::K + swizzled<HEAD_DIM>(token, piece * 16)) = e;
        *reinterpret_cast<uint2*>(raw + token * ROW_BYTES + piece * 8) = v;
    }
    __syncthreads();

    // V: a thread takes two channels (one byte of each token) and 16 tokens.
    for (int i = threadIdx.x; i < ROW_BYTES * (TOKENS / 16); i += THREADS) {
        const int lane = i % ROW_BYTES;
        // Lanes are dealt out so that four neighbours write V rows in different banks.
        const int pair = lane / 16 * 16 + lane % 4 * 4 + lane / 4 % 4;
        const int piece = i / ROW_BYTES;
        const u8* column = raw + piece * 16 * ROW_BYTES + pair;
        u32 even[4], odd[4];
#pragma unroll
        for (int half = 0; half < 2; half++) {
            // kv_codes_to_e4m3x8 takes nibbles in order, so the nibbles of neighbouring slots are put side by side.
            u32 first = 0, second = 0;
#pragma unroll
            for (int j = 0; j < 4; j++) {
                first |= u32(column[Tile::token_of_slot(8 * half + 2 * j) * ROW_BYTES]) << 8 * j;
                second |= u32(column[Tile::token_of_slot(8 * half + 2 * j + 1) * ROW_BYTES]) << 8 * j;
            }
            const u32 low = (first & 0x0f0f0f0fu) | (second & 0x0f0f0f0fu) << 4;
            const u32 high = (first >> 4 & 0x0f0f0f0fu) | (second & 0xf0f0f0f0u);
            kv_codes_to_e4m3x8(low, even[2 * half], even[2 * half + 1]);
            kv_codes_to_e4m3x8(high, odd[2 * half], odd[2 * half + 1]);
        }
        const int row = Tile::row_of_channel(2 * pair);
        *reinterpret_cast<uint4*>(v_rows + swizzled<TOKENS>(row, piece * 16)) =
            make_uint4(even[0], even[1], even[2], even[3]);
        *reinterpret_cast<uint4*>(v_rows + swizzled<TOKENS>(row + 1, piece * 16)) =
            make_uint4(odd[0], odd[1], odd[2], odd[3]);
    }
    __syncthreads();
    for (int i = threadIdx.x; i < HEAD_DIM * TOKENS / 16; i += THREADS) {
        *reinterpret_cast<uint4*>(record + Tile::V + 16 * i) = *reinterpret_cast<const uint4*>(v_rows + 16 * i);
    }
}

}  // namespace fireq
