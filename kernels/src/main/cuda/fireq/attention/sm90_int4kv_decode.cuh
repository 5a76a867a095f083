/*
 * sm90_int4kv_decode
 *
 * Computes   attention as plain_paged_attention does, for sequences with few new tokens; max and a_scale run over blocks
 *            of TILE positions
 * Operands   name          dtype      shape                                    layout / alignment        lives in
 *            query         e4m3       [n_tokens, n_heads, HEAD_DIM]            row-major                 activations
 *            query_scale   f32        [n_tokens, n_heads]                      row-major                 activations
 *            k_*, v_*      KvLayout   see attention/paged_kv.cuh               codes 16 B                KV cache
 *            positions     i32        [n_tokens]                               ascending per sequence    step inputs
 *            cu_seqlens    i32        [n_seqs + 1]                             contiguous                step inputs
 *            block_tables  i32        [n_seqs, max_kv_blocks]                  row-major                 step inputs
 *            out           bf16       [n_tokens, n_heads, HEAD_DIM]            row-major                 activations
 *            split_stats   SplitStats [n_tokens, n_heads, max_splits]          8 B                       workspace
 *            split_values  f32        [n_tokens, n_heads, max_splits, HEAD_DIM] 16 B                     workspace
 *            arrivals      u32        [n_seqs, n_kv_heads, column blocks]      zero between launches     workspace
 * Numerics   Codes become halves 64 + code by two logic operations; the 64 is taken off the sums, exactly for scores
 *            (it is where the accumulators start) and in float32 for V, as zeros are for both. Products of halves are
 *            exact, sums float32.
 *            Bitwise equal from run to run: warps and splits are merged in order
 * Work       grid.x splits of the positions, grid.y KV heads times blocks of eight columns (the query heads of the KV
 *            head times the sequence's new tokens), grid.z sequences. A CTA's warps take neighbouring runs of tiles.
 *            A warp's products have positions (scores) and channels (output) as rows and query heads as columns:
 *
 *                S[16 positions, 8 columns] = K[16, HEAD_DIM] Q[HEAD_DIM, 8]      lane: positions g, g + 8, columns 2q ..
 *                O[16 channels, 8 columns] += V[16, 16 positions] P[16, 8]        P is S transposed by movmatrix
 *
 *            The order of the reduced axis is free, so lane (g, q) takes the q-th quarter of K row g as one load, and
 *            the g-th eighth of V rows 2q, 2q + 1, 2q + 8, 2q + 9. The last CTA of a row to finish merges the splits
 * Pipeline   each warp feeds itself: a ring of STAGES tiles, filled with old positions before the kernel ahead, which
 *            writes the new ones, has ended
 *            barrier           initialised to   who arrives   who waits   tx bytes
 *            full[warp][slot]  1 + 32           lane 0, all   the warp    codes of a tile; scales and zeros come by cp.async
 * Smem map   0  sizeof(DecodeSmem)  rings, barriers, later the sums of each warp (dynamic)
 * Barriers   0 (__syncthreads)
 * Requires   one group per head, kv_block_size a multiple of 16, HEAD_DIM 64 or 128 (launcher checks)
 * Not for    several groups per head, other sizes: plain_paged_attention. Long chunks: sm90_fp8_prefill
 * Launcher   io.fireq.kernels.attention.Int4KvDecodeAttention      Oracle  io.fireq.kernels.attention.AttentionOracle
 * Notes      none
 */
#pragma once

#include "fireq/attention/combine_splits.cuh"
#include "fireq/attention/kv_tile.cuh"
#include "fireq/attention/online_softmax.cuh"
#include "fireq/attention/paged_kv.cuh"
#include "fireq/pipeline/stage.cuh"
#include "fireq/ptx/bytes.cuh"
#include "fireq/ptx/cp_async.cuh"
#include "fireq/ptx/griddep.cuh"
#include "fireq/ptx/mma_f16.cuh"
#include "fireq/ptx/tma.cuh"

namespace fireq {

constexpr int DECODE_COLUMNS = 8;
constexpr int CODE_OFFSET = 64;

// Eight codes of a word, as four pairs of halves 64 + code: pair[i] are nibbles i and i + 4. 64 has exponent bits 0x5400
// and a last place of 1/16, so a nibble in bits 4..7 counts units.
struct CodePairs {
    u32 pair[4];

    __device__ __forceinline__ explicit CodePairs(u32 word) {
        const u32 high = word >> 8;
        pair[0] = select_or<0x00f000f0u, 0x54005400u>(word << 4);
        pair[1] = select_or<0x00f000f0u, 0x54005400u>(word);
        pair[2] = select_or<0x00f000f0u, 0x54005400u>(high << 4);
        pair[3] = select_or<0x00f000f0u, 0x54005400u>(high);
    }
};

// A run of positions of one KV head as it lies in the cache: neighbours in one KV block.
template <int HEAD_DIM>
struct DecodeRun {
    static constexpr int POSITIONS = 16;
    static constexpr int ROW_BYTES = HEAD_DIM / 2;
    static constexpr int CODE_BYTES = POSITIONS * ROW_BYTES;
    static constexpr int PARAM_LANES = POSITIONS * int(sizeof(ScaleZero)) / 16;  // that copy the params of K or V

    alignas(16) u8 k[CODE_BYTES];
    alignas(16) u8 v[CODE_BYTES];
    alignas(16) ScaleZero k_param[POSITIONS];
    alignas(16) ScaleZero v_param[POSITIONS];
};

// What a warp fetches at a time.
template <int HEAD_DIM>
struct DecodeTile {
    static constexpr int RUNS = 2;
    static constexpr int POSITIONS = RUNS * DecodeRun<HEAD_DIM>::POSITIONS;
    DecodeRun<HEAD_DIM> run[RUNS];
};

template <class Config>
struct DecodeSmem {
    union {
        DecodeTile<Config::HEAD_DIM> ring[Config::WARPS][Config::STAGES];
        float values[Config::WARPS][DECODE_COLUMNS][Config::HEAD_DIM];
    };
    u64 full[Config::WARPS][Config::STAGES];
    SplitStats stats[Config::WARPS][DECODE_COLUMNS];
    bool is_last;
};

// The online softmax of one warp's positions, for eight columns.
template <class Config>
struct DecodeWarp {
    static constexpr int HEAD_DIM = Config::HEAD_DIM;
    using Tile = DecodeTile<HEAD_DIM>;
    static constexpr int TILE = Tile::POSITIONS;
    static constexpr int HALVES = Tile::RUNS;
    static constexpr int ROW_BYTES = HEAD_DIM / 2;
    static constexpr int K_STEPS = HEAD_DIM / 16;
    static constexpr int O_BLOCKS = HEAD_DIM / 16;
    // A lane's part of a row of K and of V.
    using KWords = Packed<u32, ROW_BYTES / 16>;
    using VWords = Packed<u32, ROW_BYTES / 32>;

    const int g;
    const int q;
    u32 query[K_STEPS][2];
    float minus_offset[2];  // -64 * sum of the query, of columns 2q and 2q + 1: where their scores start
    float query_sum[2];
    float factor[2];
    int limit[2];

    float output[O_BLOCKS][4];
    float max[2];
    float largest_v_scale;
    float reference[2];
    float sum[2];
    float zero[2];

    __device__ __forceinline__ DecodeWarp() : g(threadIdx.x % WARP_SIZE / 4), q(threadIdx.x % 4) {
#pragma unroll
        for (int e = 0; e < 2; e++) {
            max[e] = Max::identity();
            reference[e] = Max::identity();
            sum[e] = 0.0f;
            zero[e] = 0.0f;
        }
        largest_v_scale = 0.0f;
#pragma unroll
        for (int m = 0; m < O_BLOCKS; m++) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                output[m][i] = 0.0f;
            }
        }
    }

    // `row` is column g's query.
    __device__ __forceinline__ void load_query(const e4m3* row) {
        float sum_g = 0.0f;
        const u32* words = reinterpret_cast<const u32*>(row + q * (HEAD_DIM / 4));
#pragma unroll
        for (int step = 0; step < K_STEPS; step++) {
            const u32 low = words[step / 2 * 2];
            const u32 high = words[step / 2 * 2 + 1];
#pragma unroll
            for (int r = 0; r < 2; r++) {
                // Channels i and i + 4 of eight, as the codes come out of a word.
                const int i = step % 2 * 2 + r;
                query[step][r] = e4m3x2_to_f16x2(u16(__byte_perm(low, high, i | (4 + i) << 4) & 0xffff));
                sum_g += to_float(f16{u16(query[step][r] & 0xffff)}) + to_float(f16{u16(query[step][r] >> 16)});
            }
        }
        sum_g += __shfl_xor_sync(0xffffffffu, sum_g, 1);
        sum_g += __shfl_xor_sync(0xffffffffu, sum_g, 2);
#pragma unroll
        for (int e = 0; e < 2; e++) {
            query_sum[e] = __shfl_sync(0xffffffffu, sum_g, 4 * (2 * q + e));
            minus_offset[e] = -float(CODE_OFFSET) * query_sum[e];
        }
    }

    // scores[half]: positions g and g + 8 of the half, columns 2q and 2q + 1, in units of the key; -infinity where the
    // column must not look.
    __device__ __forceinline__ void make_scores(const Tile& tile, int first_position, float (&scores)[HALVES][4]) {
#pragma unroll
        for (int half = 0; half < HALVES; half++) {
            const DecodeRun<HEAD_DIM>& run = tile.run[half];
            const KWords upper = *reinterpret_cast<const KWords*>(run.k + g * ROW_BYTES + q * (ROW_BYTES / 4));
            const KWords lower = *reinterpret_cast<const KWords*>(run.k + (g + 8) * ROW_BYTES + q * (ROW_BYTES / 4));
            // Two sums of half the channels each, for a product waits for the one before it.
            float odd[4] = {};
#pragma unroll
            for (int i = 0; i < 4; i++) {
                scores[half][i] = minus_offset[i % 2];
            }
#pragma unroll
            for (int w = 0; w < K_STEPS / 2; w++) {
                const CodePairs up(upper.at[w]);
                const CodePairs low(lower.at[w]);
                mma_f16_m16n8k16(scores[half], up.pair[0], low.pair[0], up.pair[1], low.pair[1], query[2 * w][0],
                                 query[2 * w][1]);
                mma_f16_m16n8k16(odd, up.pair[2], low.pair[2], up.pair[3], low.pair[3], query[2 * w + 1][0],
                                 query[2 * w + 1][1]);
            }
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const ScaleZero param = run.k_param[g + i / 2 * 8];
                const int position = first_position + 16 * half + g + i / 2 * 8;
                const float score =
                    to_float(param.scale) * fmaf(-to_float(param.zero), query_sum[i % 2], scores[half][i] + odd[i]);
                scores[half][i] = position <= limit[i % 2] ? score : Max::identity();
            }
        }
    }

    // Turns scores into probs[half], the B fragment of P, and brings the sums so far to the new reference.
    __device__ __forceinline__ void make_probs(const Tile& tile, int first_position, int n_positions,
                                               const float (&scores)[HALVES][4], u32 (&probs)[HALVES][2]) {
        float v_scale[HALVES][2], v_zero[HALVES][2];
        float peak[2] = {max[0], max[1]};
#pragma unroll
        for (int half = 0; half < HALVES; half++) {
#pragma unroll
            for (int r = 0; r < 2; r++) {
                // What lies in a KV block behind the last position is nobody's, maybe not even a number.
                const bool exists = first_position + 16 * half + g + 8 * r < n_positions;
                const ScaleZero param = tile.run[half].v_param[g + 8 * r];
                v_scale[half][r] = exists ? to_float(param.scale) : 0.0f;
                v_zero[half][r] = exists ? float(CODE_OFFSET) + to_float(param.zero) : 0.0f;
                largest_v_scale = fmaxf(largest_v_scale, v_scale[half][r]);
                peak[0] = fmaxf(peak[0], scores[half][2 * r]);
                peak[1] = fmaxf(peak[1], scores[half][2 * r + 1]);
            }
        }
#pragma unroll
        for (int distance = 4; distance < WARP_SIZE; distance *= 2) {
            largest_v_scale = fmaxf(largest_v_scale, __shfl_xor_sync(0xffffffffu, largest_v_scale, distance));
            peak[0] = fmaxf(peak[0], __shfl_xor_sync(0xffffffffu, peak[0], distance));
            peak[1] = fmaxf(peak[1], __shfl_xor_sync(0xffffffffu, peak[1], distance));
        }
        const float bound = __log2f(largest_v_scale) - LOG2_E4M3_MAX;
        float rescale[2], minus_reference[2];
#pragma unroll
        for (int e = 0; e < 2; e++) {
            max[e] = peak[e];
            // A column that has seen no position yet keeps -infinity, and probabilities of zero.
            const bool seen = peak[e] != Max::identity();
            const float least = seen ? fmaf(peak[e], factor[e], bound) : Max::identity();
            const float next = least > reference[e] ? least + REFERENCE_HEADROOM : reference[e];
            rescale[e] = seen ? exp2_approx(reference[e] - next) : 1.0f;
            minus_reference[e] = seen ? -next : 0.0f;
            reference[e] = next;
            sum[e] *= rescale[e];
            zero[e] *= rescale[e];
        }
        if (__any_sync(0xffffffffu, rescale[0] != 1.0f || rescale[1] != 1.0f)) {
#pragma unroll
            for (int m = 0; m < O_BLOCKS; m++) {
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    output[m][i] *= rescale[i % 2];
                }
            }
        }
#pragma unroll
        for (int half = 0; half < HALVES; half++) {
#pragma unroll
            for (int r = 0; r < 2; r++) {
                float p[2];
#pragma unroll
                for (int e = 0; e < 2; e++) {
                    p[e] = exp2_approx(fmaf(scores[half][2 * r + e], factor[e], minus_reference[e]));
                    sum[e] += p[e];
                }
                const u32 a = e4m3x2_to_f16x2(to_e4m3x2(p[0] * v_scale[half][r], p[1] * v_scale[half][r]));
                // The output counts 64 + code, so what is more than code - zero goes off again.
                zero[0] = fmaf(-v_zero[half][r], to_float(f16{u16(a & 0xffff)}), zero[0]);
                zero[1] = fmaf(-v_zero[half][r], to_float(f16{u16(a >> 16)}), zero[1]);
                probs[half][r] = transpose_8x8(a);
            }
        }
    }

    // output[m]: channels c and c + 4 of this lane's eighth with c = m / 4 * 8 + m % 4, columns 2q and 2q + 1.
    __device__ __forceinline__ void add_values(const Tile& tile, const u32 (&probs)[HALVES][2]) {
#pragma unroll
        for (int half = 0; half < HALVES; half++) {
            VWords v[4];
#pragma unroll
            for (int i = 0; i < 4; i++) {
                v[i] = *reinterpret_cast<const VWords*>(tile.run[half].v + (2 * q + i % 2 + i / 2 * 8) * ROW_BYTES +
                                                        g * (ROW_BYTES / 8));
            }
#pragma unroll
            for (int w = 0; w < O_BLOCKS / 4; w++) {
                // Channels 0..3 and 4..7 of two neighbouring positions.
                const CodePairs first_low(__byte_perm(v[0].at[w], v[1].at[w], 0x5410));
                const CodePairs first_high(__byte_perm(v[0].at[w], v[1].at[w], 0x7632));
                const CodePairs second_low(__byte_perm(v[2].at[w], v[3].at[w], 0x5410));
                const CodePairs second_high(__byte_perm(v[2].at[w], v[3].at[w], 0x7632));
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    mma_f16_m16n8k16(output[4 * w + i], first_low.pair[i], first_high.pair[i], second_low.pair[i],
                                     second_high.pair[i], probs[half][0], probs[half][1]);
                }
            }
        }
    }

    __device__ __forceinline__ void store(float (*values)[HEAD_DIM], SplitStats* stats) {
#pragma unroll
        for (int e = 0; e < 2; e++) {
#pragma unroll
            for (int distance = 4; distance < WARP_SIZE; distance *= 2) {
                sum[e] += __shfl_xor_sync(0xffffffffu, sum[e], distance);
                zero[e] += __shfl_xor_sync(0xffffffffu, zero[e], distance);
            }
            if (g == 0) {
                stats[2 * q + e] = SplitStats{reference[e], sum[e]};
            }
#pragma unroll
            for (int m = 0; m < O_BLOCKS; m++) {
                const int channel = g * (HEAD_DIM / 8) + m / 4 * 8 + m % 4;
                values[2 * q + e][channel] = output[m][e] + zero[e];
                values[2 * q + e][channel + 4] = output[m][2 + e] + zero[e];
            }
        }
    }
};

template <class Config>
__global__ void __launch_bounds__(Config::WARPS* WARP_SIZE, Config::CTAS_PER_SM)
    sm90_int4kv_decode(const e4m3* __restrict__ query, const float* __restrict__ query_scale,
                       const u8* __restrict__ k_codes, const ScaleZero* __restrict__ k_params,
                       const u8* __restrict__ v_codes, const ScaleZero* __restrict__ v_params,
                       const i32* __restrict__ positions, const i32* __restrict__ cu_seqlens,
                       const i32* __restrict__ block_tables, bf16* __restrict__ out, SplitStats* __restrict__ split_stats,
                       float* __restrict__ split_values, u32* __restrict__ arrivals, int n_heads, int n_kv_heads,
                       int kv_block_size, int max_kv_blocks, int min_split_tiles) {
    constexpr int WARPS = Config::WARPS;
    constexpr int HEAD_DIM = Config::HEAD_DIM;
    constexpr int CHANNELS = HEAD_DIM / WARP_SIZE;
    constexpr int STAGES = Config::STAGES;
    using Warp = DecodeWarp<Config>;
    using Run = DecodeRun<HEAD_DIM>;
    alignas(128) extern __shared__ u8 dynamic_smem[];
    static_assert(sizeof(DecodeSmem<Config>) == Config::SMEM_BYTES, "the launcher asks for what the kernel lays out");
    auto& smem = *reinterpret_cast<DecodeSmem<Config>*>(dynamic_smem);

    allow_next_kernel();
    const int heads_per_kv = n_heads / n_kv_heads;
    const int kv_head = blockIdx.y % n_kv_heads;
    const int first_column = blockIdx.y / n_kv_heads * DECODE_COLUMNS;
    const int first_token = cu_seqlens[blockIdx.z];
    const int n_new = cu_seqlens[blockIdx.z + 1] - first_token;
    const int n_columns = min(DECODE_COLUMNS, n_new * heads_per_kv - first_column);
    if (n_columns <= 0) {
        return;
    }
    // Every CTA of the row computes the same split from the lengths on the device.
    const int n_positions = positions[first_token + n_new - 1] + 1;
    const int n_tiles = ceil_div(n_positions, Warp::TILE);
    const int wanted_splits = min(int(gridDim.x), ceil_div(n_tiles, min_split_tiles));
    const int tiles_per_split = ceil_div(n_tiles, wanted_splits);
    const int n_splits = ceil_div(n_tiles, tiles_per_split);
    const int split = blockIdx.x;
    if (split >= n_splits) {
        return;
    }

    const int warp = threadIdx.x / WARP_SIZE;
    const int lane = threadIdx.x % WARP_SIZE;
    const int split_end = min((split + 1) * tiles_per_split, n_tiles);
    const int tiles_per_warp = ceil_div(split_end - split * tiles_per_split, WARPS);
    const int tile_begin = min(split * tiles_per_split + warp * tiles_per_warp, split_end);
    const int tile_end = min(tile_begin + tiles_per_warp, split_end);
    // Row of `query` and `out` of a column; columns beyond the last do what the last does and are not stored.
    const Divisor group_size(heads_per_kv);
    const auto row_of = [&](int column) {
        int head;
        const int token = group_size.divide(first_column + min(column, n_columns - 1), head);
        return i64(first_token + token) * n_heads + kv_head * heads_per_kv + head;
    };
    // Where this lane finds its queries, worked out while the kernel ahead runs.
    Warp w;
    const i64 query_row = row_of(w.g);
    i64 scale_rows[2];
#pragma unroll
    for (int e = 0; e < 2; e++) {
        const int column = min(2 * w.q + e, n_columns - 1);
        scale_rows[e] = row_of(column);
        w.limit[e] = positions[first_token + group_size.divide(first_column + column)];
    }

    const KvLayout layout{n_kv_heads, HEAD_DIM, HEAD_DIM, kv_block_size};
    const Divisor block_size(kv_block_size);
    const i32* block_table = block_tables + i64(blockIdx.z) * max_kv_blocks;
    // Lane l keeps where the l-th run of 16 positions from `runs_from` on lies, in units of runs; runs behind the last
    // position read the last one instead.
    const int last_run = (n_positions - 1) / Run::POSITIONS;
    int runs_from = tile_begin * Warp::HALVES;
    const auto find_runs = [&] {
        int offset;
        const int kv_block = block_size.divide(min(runs_from + lane, last_run) * Run::POSITIONS, offset);
        return int(layout.row(block_table[kv_block], offset, kv_head) / Run::POSITIONS);
    };
    int run_rows = tile_begin < tile_end ? find_runs() : 0;
    const auto fetch = [&](int tile, int slot) {
        int runs[Warp::HALVES];
#pragma unroll
        for (int half = 0; half < Warp::HALVES; half++) {
            const int run = tile * Warp::HALVES + half;
            if (run - runs_from >= WARP_SIZE) {
                runs_from = run;
                run_rows = find_runs();
            }
            runs[half] = __shfl_sync(0xffffffffu, run_rows, run - runs_from);
        }
        u64* full = &smem.full[warp][slot];
        // Scales and zeros are too little for a bulk copy: each lane takes 16 bytes of one half's K or V.
        if (lane < Warp::HALVES * 2 * Run::PARAM_LANES) {
            const int half = lane / (2 * Run::PARAM_LANES);
            const bool is_v = lane / Run::PARAM_LANES % 2;
            const int first = lane % Run::PARAM_LANES * (16 / int(sizeof(ScaleZero)));
            Run& to = smem.ring[warp][slot].run[half];
            const i64 run = half == 0 ? runs[0] : runs[1];
            cp_async_16((is_v ? to.v_param : to.k_param) + first, (is_v ? v_params : k_params) + run * Run::POSITIONS + first);
        }
        cp_async_arrive(full);
        if (lane == 0) {
            mbarrier_arrive_expect_bytes(full, Warp::HALVES * 2 * Run::CODE_BYTES);
#pragma unroll
            for (int half = 0; half < Warp::HALVES; half++) {
                Run& to = smem.ring[warp][slot].run[half];
                const i64 run = runs[half];
                bulk_load(to.k, k_codes + run * Run::CODE_BYTES, Run::CODE_BYTES, full, CacheHint::EVICT_FIRST);
                bulk_load(to.v, v_codes + run * Run::CODE_BYTES, Run::CODE_BYTES, full, CacheHint::EVICT_FIRST);
            }
        }
    };
    if (lane == 0) {
#pragma unroll
        for (int slot = 0; slot < STAGES; slot++) {
            mbarrier_init(&smem.full[warp][slot], 1 + WARP_SIZE);
        }
        mbarrier_init_fence();
    }
    __syncwarp();
    // The kernel ahead writes the new positions only: what lies before them can be fetched while it runs.
    const int old_tiles = (n_positions - n_new) / Warp::TILE;
    int fetched = tile_begin;
    for (; fetched < min(min(tile_begin + STAGES, tile_end), old_tiles); fetched++) {
        fetch(fetched, fetched - tile_begin);
    }
    wait_for_previous_kernel();
    for (; fetched < min(tile_begin + STAGES, tile_end); fetched++) {
        fetch(fetched, fetched - tile_begin);
    }

    if (tile_begin < tile_end) {
        const float score_scale = 1.4426950408889634f / sqrtf(float(HEAD_DIM));
        w.load_query(query + query_row * HEAD_DIM);
#pragma unroll
        for (int e = 0; e < 2; e++) {
            w.factor[e] = query_scale[scale_rows[e]] * score_scale;
        }
        auto stage = Stage<STAGES>::consumer();
        for (int tile = tile_begin; tile < tile_end; tile++) {
            const int first_position = tile * Warp::TILE;
            const auto& kv = smem.ring[warp][stage.index];
            float scores[Warp::HALVES][4];
            u32 probs[Warp::HALVES][2];
            mbarrier_wait(&smem.full[warp][stage.index], stage.phase);
            w.make_scores(kv, first_position, scores);
            w.make_probs(kv, first_position, n_positions, scores, probs);
            w.add_values(kv, probs);
            __syncwarp();
            if (tile + STAGES < tile_end) {
                fetch(tile + STAGES, stage.index);
            }
            stage.advance();
        }
    }
    // The sums take the place of the ring.
    __syncthreads();

    w.store(smem.values[warp], smem.stats[warp]);
    __syncthreads();
    const bool alone = n_splits == 1;
    for (int column = warp; column < n_columns; column += WARPS) {
        float reference = Max::identity();
#pragma unroll
        for (int i = 0; i < WARPS; i++) {
            reference = fmaxf(reference, smem.stats[i][column].reference);
        }
        float sum = 0.0f;
        float values[CHANNELS] = {};
#pragma unroll
        for (int i = 0; i < WARPS; i++) {
            const float weight = split_weight(smem.stats[i][column].reference, reference);
            sum = fmaf(weight, smem.stats[i][column].sum, sum);
#pragma unroll
            for (int c = 0; c < CHANNELS; c++) {
                values[c] = fmaf(weight, smem.values[i][column][lane * CHANNELS + c], values[c]);
            }
        }
        const i64 row = row_of(column);
        if (alone) {
            Packed<bf16, CHANNELS> result;
#pragma unroll
            for (int c = 0; c < CHANNELS; c++) {
                result.at[c] = to_bf16(values[c] / sum);
            }
            *reinterpret_cast<Packed<bf16, CHANNELS>*>(out + row * HEAD_DIM + lane * CHANNELS) = result;
            continue;
        }
        const i64 slot = row * gridDim.x + split;
        Packed<float, CHANNELS> partial;
#pragma unroll
        for (int c = 0; c < CHANNELS; c++) {
            partial.at[c] = values[c];
        }
        *reinterpret_cast<Packed<float, CHANNELS>*>(split_values + slot * HEAD_DIM + lane * CHANNELS) = partial;
        if (lane == 0) {
            split_stats[slot] = SplitStats{reference, sum};
        }
    }
    if (alone) {
        return;
    }

    // The counter wraps to zero with the last arrival, ready for the next launch.
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0) {
        smem.is_last = atomicInc(arrivals + i64(blockIdx.z) * gridDim.y + blockIdx.y, n_splits - 1) == n_splits - 1;
    }
    __syncthreads();
    if (!smem.is_last) {
        return;
    }
    __threadfence();
    for (int column = warp; column < n_columns; column += WARPS) {
        const i64 row = row_of(column);
        float values[CHANNELS];
        combine_splits<HEAD_DIM>(split_stats + row * gridDim.x, split_values + row * gridDim.x * HEAD_DIM, n_splits, values);
        Packed<bf16, CHANNELS> result;
#pragma unroll
        for (int c = 0; c < CHANNELS; c++) {
            result.at[c] = to_bf16(values[c]);
        }
        *reinterpret_cast<Packed<bf16, CHANNELS>*>(out + row * HEAD_DIM + lane * CHANNELS) = result;
    }
}

}  // namespace fireq
