/*
 * expand_kv
 *
 * Computes   for each tile of TOKENS tokens of a sequence and each KV head the record of attention/kv_tile.cuh:
 *            K and V as e4m3(code - zero), V transposed, scales as float
 * Operands   name          dtype      shape                              layout / alignment          lives in
 *            k_*, v_*      KvLayout   see attention/paged_kv.cuh         codes 16 B                  KV cache
 *            block_tables  i32        [n_seqs, max_kv_blocks]            row-major                   step inputs
 *            tiles         ExpandTile [n_tiles]                          contiguous                  prefill plan
 *            records       KvTile     [n_tiles, n_kv_heads]              STRIDE bytes each, 16 B     workspace
 *            next_item     i32        [1]                                set to zero                 workspace
 * Numerics   exact, but for the bound's log2 (2 ulp)
 * Work       grid.x tiles, grid.y KV heads; one CTA per record
 * Pipeline   none
 * Smem map   offset                    bytes                  content (static)
 *            0                         TOKENS * HEAD_DIM      V, expanded, a row per token
 *            +                         TOKENS * HEAD_DIM      V rows of the record
 *            +                         2 * 16 * TOKENS        what each token's K and V codes stand for
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

// What the codes 0..15 of one token stand for, as e4m3 bytes.
__device__ __forceinline__ uint4 e4m3_of_codes(float zero) {
    u32 words[4];
#pragma unroll
    for (int i = 0; i < 4; i++) {
        words[i] = to_e4m3x2(4 * i - zero, 4 * i + 1 - zero) | u32(to_e4m3x2(4 * i + 2 - zero, 4 * i + 3 - zero)) << 16;
    }
    return make_uint4(words[0], words[1], words[2], words[3]);
}

// Eight nibbles, lowest first, to the bytes that `table` has for them: lo holds nibbles 0..3, hi nibbles 4..7.
__device__ __forceinline__ void expand_codes(u32 nibbles, const uint4& table, u32& lo, u32& hi) {
    const u32 index = nibbles & 0x77777777u;
    // Selector j takes byte j of what a nibble below 8 would be or, with the high bit, of what one above would.
    const u32 choice = (nibbles & 0x88888888u) >> 1 | 0x32103210u;
    lo = permute_bytes(permute_bytes(table.x, table.y, index), permute_bytes(table.z, table.w, index), choice);
    hi = permute_bytes(permute_bytes(table.x, table.y, index >> 16), permute_bytes(table.z, table.w, index >> 16),
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
    __shared__ alignas(16) u8 v_by_token[TOKENS * HEAD_DIM];
    __shared__ alignas(16) u8 v_rows[HEAD_DIM * TOKENS];
    __shared__ uint4 k_table[TOKENS];
    __shared__ uint4 v_table[TOKENS];
    __shared__ i64 kv_row[TOKENS];
    __shared__ float scratch[CtaShape<THREADS>::WARPS];

    allow_next_kernel();
    wait_for_previous_kernel();
    if (blockIdx.x == 0 && blockIdx.y == 0 && threadIdx.x == 0) {
        *next_item = 0;
    }
    const ExpandTile tile = tiles[blockIdx.x];
    const int kv_head = blockIdx.y;
    const KvLayout layout{n_kv_heads, HEAD_DIM, HEAD_DIM, kv_block_size};
    u8* record = records + (i64(blockIdx.x) * n_kv_heads + kv_head) * Tile::STRIDE;

    // Scales and tables; tokens beyond the end are zero.
    float v_scale = 0.0f;
    if (threadIdx.x < TOKENS) {
        const int t = threadIdx.x;
        float k_scale = 0.0f;
        i64 row = -1;
        if (t < tile.n_tokens) {
            const int position = tile.first_position + t;
            const i32* block_table = block_tables + i64(tile.sequence) * max_kv_blocks;
            row = layout.row(block_table[position / kv_block_size], position % kv_block_size, kv_head);
            const ScaleZero k = k_params[row];
            const ScaleZero v = v_params[row];
            k_scale = to_float(k.scale);
            v_scale = to_float(v.scale);
            k_table[t] = e4m3_of_codes(to_float(k.zero));
            v_table[t] = e4m3_of_codes(to_float(v.zero));
        }
        kv_row[t] = row;
        reinterpret_cast<float*>(record + Tile::K_SCALES)[Tile::index_of_scale(t)] = k_scale;
        reinterpret_cast<float*>(record + Tile::V_SCALES)[Tile::index_of_scale(t)] = v_scale;
    }
    const float bound = cta_reduce<THREADS>(v_scale, scratch, Max());
    if (threadIdx.x == 0) {
        *reinterpret_cast<float*>(record + Tile::BOUND) = __log2f(bound) - LOG2_E4M3_MAX;
    }

    // Eight bytes of codes become 16 bytes, K where it belongs and V for the transposition below.
    for (int i = threadIdx.x; i < TOKENS * HEAD_DIM / 16; i += THREADS) {
        const int token = i / (HEAD_DIM / 16);
        const int piece = i % (HEAD_DIM / 16);
        uint4 k = make_uint4(0, 0, 0, 0);
        uint4 v = make_uint4(0, 0, 0, 0);
        if (kv_row[token] >= 0) {
            const i64 offset = kv_row[token] * ROW_BYTES + piece * 8;
            const uint2 k_nibbles = *reinterpret_cast<const uint2*>(k_codes + offset);
            const uint2 v_nibbles = *reinterpret_cast<const uint2*>(v_codes + offset);
            expand_codes(k_nibbles.x, k_table[token], k.x, k.y);
            expand_codes(k_nibbles.y, k_table[token], k.z, k.w);
            expand_codes(v_nibbles.x, v_table[token], v.x, v.y);
            expand_codes(v_nibbles.y, v_table[token], v.z, v.w);
        }
        *reinterpret_cast<uint4*>(record + Tile::K + swizzled<HEAD_DIM>(token, piece * 16)) = k;
        *reinterpret_cast<uint4*>(v_by_token + token * HEAD_DIM + piece * 16) = v;
    }
    __syncthreads();

    // V: a thread takes two channels and 16 tokens.
    for (int i = threadIdx.x; i < HEAD_DIM / 2 * (TOKENS / 16); i += THREADS) {
        const int lane = i % (HEAD_DIM / 2);
        // Lanes are dealt out so that four neighbours write V rows in different banks.
        const int pair = lane / 16 * 16 + lane % 4 * 4 + lane / 4 % 4;
        const int piece = i / (HEAD_DIM / 2);
        const u16* column = reinterpret_cast<const u16*>(v_by_token) + piece * 16 * (HEAD_DIM / 2) + pair;
        u32 even[4], odd[4];
#pragma unroll
        for (int j = 0; j < 4; j++) {
            u32 twos[2];
#pragma unroll
            for (int h = 0; h < 2; h++) {
                twos[h] = column[Tile::token_of_slot(4 * j + 2 * h) * (HEAD_DIM / 2)] |
                          u32(column[Tile::token_of_slot(4 * j + 2 * h + 1) * (HEAD_DIM / 2)]) << 16;
            }
            even[j] = permute_bytes(twos[0], twos[1], 0x6420);
            odd[j] = permute_bytes(twos[0], twos[1], 0x7531);
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
