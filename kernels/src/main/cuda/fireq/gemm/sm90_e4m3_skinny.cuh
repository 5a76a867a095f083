/*
 * sm90_e4m3_skinny
 *
 * Computes   what sm90_int4_fp8_gemm does, for e4m3 weights and at most TILE_M tokens
 * Operands   name         dtype         shape                     layout / alignment                      lives in
 *            x            e4m3          [m, k]                    row-major, rows of 16 B, TMA            activations
 *            x_scale      f32           [m]                       contiguous                              activations
 *            weight       e4m3          [rows, k]                 row-major, rows of 16 B, TMA            weights
 *            row_scale    f32           [rows]                    contiguous                              weights
 *            out          bf16 | f32    [m, n]                    row-major                               activations
 * Numerics   weights and activations are halves on their way into the tensor core, exactly; products are exact, sums
 *            float32. Bitwise equal from run to run: the warps' shares of a sum are added in order
 * Work       1 CTA per SM (two would be dealt out unevenly while the kernel ahead still runs); CTAs take equal runs of strips (16 rows), STRIPS at a time, and no sum crosses CTAs.
 *            Warp w of the first WARPS takes blocks w, w + WARPS, .. of 128 columns; the REDUCERS warps behind them add up
 *            what the others leave in shared memory and store it, each one strip's 8 tokens. Weights' rows are the rows of
 *            m16n8k16, tokens its columns
 * Pipeline   each warp feeds itself: a ring of STAGES slots, filled with weights before the kernel ahead has ended. Each of
 *            the STRIPS strips has a buffer for sums, which is free again long before a warp has its next ones
 *            barrier           initialised to   who arrives        who waits    tx bytes
 *            full[warp][slot]  1                lane 0             the warp     strips + x
 *            summed[strip]     WARPS            lane 0 of a warp   reducers     -
 *            stored[strip]     TOKEN_BLOCKS     lane 0 of a reducer  warps      -
 * Smem map   0            x: WARPS * STAGES * TILE_M * 128, swizzled 128 B
 *            + weights    WARPS * STAGES * STRIPS strips, swizzled 128 B
 *            + sums       STRIPS * WARPS * TOKEN_BLOCKS fragments of 512 bytes, TOKEN_BLOCKS = TILE_M / 8
 *            + barriers   8 * (WARPS * STAGES + 2 * STRIPS)
 * Barriers   0 (__syncthreads) for the setup only
 * Requires   m <= TILE_M; k a multiple of 16 and x aligned to 16 (tensor map)
 * Not for    more tokens: sm90_int4_fp8_gemm; int4 weights: sm90_int4_fp8_narrow
 * Launcher   io.fireq.kernels.gemm.SkinnyGemm      Oracle  io.fireq.kernels.gemm.LinearOracle
 * Notes      none
 */
#pragma once

#include "fireq/common/math.cuh"
#include "fireq/gemm/store_output.cuh"
#include "fireq/pipeline/stage.cuh"
#include "fireq/ptx/griddep.cuh"
#include "fireq/ptx/mma_f16.cuh"
#include "fireq/ptx/tma.cuh"

namespace fireq {

template <class Config>
struct SkinnyShape {
    static constexpr int TILE_M = Config::TILE_M;
    static constexpr int WARPS = Config::WARPS;
    static constexpr int STAGES = Config::STAGES;
    static constexpr int STRIPS = Config::STRIPS;
    static constexpr int COLUMNS = 128;
    static constexpr int STEPS = COLUMNS / 32;
    static constexpr int STRIP_ROWS = 16;
    static constexpr int TOKEN_BLOCKS = TILE_M / 8;
    static constexpr int REDUCERS = STRIPS * TOKEN_BLOCKS;
    static constexpr int THREADS = (WARPS + REDUCERS) * WARP_SIZE;

    static constexpr int X_BYTES = TILE_M * COLUMNS;
    static constexpr int STRIP_BYTES = STRIP_ROWS * COLUMNS;
    static constexpr int FRAGMENT_FLOATS = 4 * WARP_SIZE;
    static constexpr int SUM_BYTES = WARPS * TOKEN_BLOCKS * FRAGMENT_FLOATS * 4;

    static constexpr int WEIGHT_AT = WARPS * STAGES * X_BYTES;
    static constexpr int SUM_AT = WEIGHT_AT + WARPS * STAGES * STRIPS * STRIP_BYTES;
    static constexpr int BARRIER_AT = SUM_AT + STRIPS * SUM_BYTES;
    static constexpr int SMEM_BYTES = BARRIER_AT + 8 * (WARPS * STAGES + 2 * STRIPS);

    static_assert(TILE_M % 8 == 0, "tokens come in columns of m16n8k16");
    static_assert(2 * (SMEM_BYTES + 1024) > 228 * 1024, "an SM has no room for two, of which each takes a kilobyte more");
    static_assert(WARPS * STAGES >= 2 && WARPS * STAGES <= THREADS, "a thread sets up a slot");
    static_assert(!Config::OUT_F32 || Config::EPILOGUE == STORE, "float32 is stored as it is");
    static_assert(SMEM_BYTES == Config::SMEM_BYTES, "the launcher asks for the shared memory that the kernel lays out");
};

// The A operands of one step of 32 columns, as m16n8k16 takes them twice: rows g and g + 8 of columns 4q ..
// 4q + 3 and 4q + 16 .. of 32, in e4m3.
struct StripStep {
    u32 upper_low;
    u32 lower_low;
    u32 upper_high;
    u32 lower_high;
};

// A word of row `row` of a matrix whose rows of 128 bytes TMA has swizzled: columns 16 * piece + 4 * q ..
__device__ __forceinline__ u32 swizzled_word(const u8* matrix, int row, int piece, int q) {
    return *reinterpret_cast<const u32*>(matrix + row * 128 + (piece ^ row % 8) * 16 + q * 4);
}

// The A operands of step `s` of a strip.
__device__ __forceinline__ StripStep strip_step(const u8* strip, int s, int lane) {
    const int g = lane / 4;
    const int q = lane % 4;
    return StripStep{swizzled_word(strip, g, 2 * s, q), swizzled_word(strip, g + 8, 2 * s, q),
                     swizzled_word(strip, g, 2 * s + 1, q), swizzled_word(strip, g + 8, 2 * s + 1, q)};
}

// Queues the loads of one warp, which come in the order in which it uses them.
template <class Config>
class SkinnyLoader {
    using Shape = SkinnyShape<Config>;

  public:
    const TensorMap* x_map;
    const TensorMap* weight_map;
    u8* x_slots;
    u8* weight_slots;
    u64* full;
    int k_blocks;
    int end_strip;
    int warp;
    int strip;  // first of the next load
    int block;

    __device__ __forceinline__ bool has_more() const { return strip < end_strip; }

    __device__ __forceinline__ void advance() {
        block += Shape::WARPS;
        if (block >= k_blocks) {
            block = warp;
            strip += Shape::STRIPS;
        }
    }

    // Where a turn round the ring is all of k, a slot meets the same columns of x again and again.
    __device__ __forceinline__ bool x_stays() const { return k_blocks == Shape::WARPS * Shape::STAGES; }

    __device__ __forceinline__ void load_weights(int slot, bool with_x) const {
        const int strips = min(Shape::STRIPS, end_strip - strip);
        mbarrier_arrive_expect_bytes(full + slot, strips * Shape::STRIP_BYTES + (with_x ? Shape::X_BYTES : 0));
#pragma unroll
        for (int i = 0; i < Shape::STRIPS; i++) {
            if (i < strips) {
                tma_load_2d(weight_slots + (slot * Shape::STRIPS + i) * Shape::STRIP_BYTES, weight_map, full + slot,
                            block * Shape::COLUMNS, (strip + i) * Shape::STRIP_ROWS, CacheHint::EVICT_FIRST);
            }
        }
    }

    __device__ __forceinline__ void load_x(int slot) const {
        tma_load_2d(x_slots + slot * Shape::X_BYTES, x_map, full + slot, block * Shape::COLUMNS, 0, CacheHint::EVICT_LAST);
    }
};

template <class Config>
using SkinnySums = float[SkinnyShape<Config>::STRIPS][SkinnyShape<Config>::TOKEN_BLOCKS][4];

// Adds the products of one block to the sums of the first `strips` strips.
template <class Config>
__device__ __forceinline__ void multiply_block(SkinnySums<Config>& sums, const u8* x, const u8* weights, int strips,
                                               int lane) {
    using Shape = SkinnyShape<Config>;
    u32 b[Shape::STEPS][Shape::TOKEN_BLOCKS][4];
#pragma unroll
    for (int s = 0; s < Shape::STEPS; s++) {
#pragma unroll
        for (int t = 0; t < Shape::TOKEN_BLOCKS; t++) {
            const u32 low = swizzled_word(x, 8 * t + lane / 4, 2 * s, lane % 4);
            const u32 high = swizzled_word(x, 8 * t + lane / 4, 2 * s + 1, lane % 4);
            b[s][t][0] = low_e4m3x2_to_f16x2(low);
            b[s][t][1] = high_e4m3x2_to_f16x2(low);
            b[s][t][2] = low_e4m3x2_to_f16x2(high);
            b[s][t][3] = high_e4m3x2_to_f16x2(high);
        }
    }
#pragma unroll
    for (int i = 0; i < Shape::STRIPS; i++) {
        if (i < strips) {
#pragma unroll
            for (int s = 0; s < Shape::STEPS; s++) {
                const StripStep a = strip_step(weights + i * Shape::STRIP_BYTES, s, lane);
                const u32 a0 = low_e4m3x2_to_f16x2(a.upper_low), a1 = low_e4m3x2_to_f16x2(a.lower_low);
                const u32 a2 = high_e4m3x2_to_f16x2(a.upper_low), a3 = high_e4m3x2_to_f16x2(a.lower_low);
                const u32 a4 = low_e4m3x2_to_f16x2(a.upper_high), a5 = low_e4m3x2_to_f16x2(a.lower_high);
                const u32 a6 = high_e4m3x2_to_f16x2(a.upper_high), a7 = high_e4m3x2_to_f16x2(a.lower_high);
#pragma unroll
                for (int t = 0; t < Shape::TOKEN_BLOCKS; t++) {
                    mma_f16_m16n8k16(sums[i][t], a0, a1, a2, a3, b[s][t][0], b[s][t][1]);
                    mma_f16_m16n8k16(sums[i][t], a4, a5, a6, a7, b[s][t][2], b[s][t][3]);
                }
            }
        }
    }
}

// What the warps exchange: the buffer of a strip is full when `summed[strip]` completes a phase, free when `stored[strip]`
// does.
template <class Config>
struct SumExchange {
    using Shape = SkinnyShape<Config>;
    using Fragment = Packed<float, 4>;

    u8* base;
    u64* summed;
    u64* stored;
    int lane;

    __device__ __forceinline__ Fragment* at(int strip, int warp, int token_block) const {
        return reinterpret_cast<Fragment*>(base + strip * Shape::SUM_BYTES) +
               (warp * Shape::TOKEN_BLOCKS + token_block) * WARP_SIZE + lane;
    }

    // `phase` is the parity of how often the warp has put its sums before.
    __device__ __forceinline__ void put(const SkinnySums<Config>& sums, u32 phase, int warp) const {
#pragma unroll
        for (int i = 0; i < Shape::STRIPS; i++) {
            mbarrier_wait(stored + i, phase ^ 1);
#pragma unroll
            for (int t = 0; t < Shape::TOKEN_BLOCKS; t++) {
                const float(&s)[4] = sums[i][t];
                *at(i, warp, t) = Fragment{{s[0], s[1], s[2], s[3]}};
            }
            __syncwarp();
            if (lane == 0) {
                mbarrier_arrive(summed + i);
            }
        }
    }

    __device__ __forceinline__ void take(float (&total)[4], u32 phase, int strip, int token_block) const {
        mbarrier_wait(summed + strip, phase);
#pragma unroll
        for (int w = 0; w < Shape::WARPS; w++) {
            const Fragment part = *at(strip, w, token_block);
#pragma unroll
            for (int e = 0; e < 4; e++) {
                total[e] = w == 0 ? part.at[e] : total[e] + part.at[e];
            }
        }
        __syncwarp();
        if (lane == 0) {
            mbarrier_arrive(stored + strip);
        }
    }
};

template <class Config>
__global__ void __launch_bounds__(SkinnyShape<Config>::THREADS, 1)
    sm90_e4m3_skinny(const __grid_constant__ TensorMap x_map, const __grid_constant__ TensorMap weight_map,
                     const float* x_scale, const float* row_scale, void* out, int m, int n, int n_strips, int k_blocks) {
    using Shape = SkinnyShape<Config>;
    extern __shared__ __align__(1024) u8 smem_base[];
    // Uniform in the eyes of the compiler, which keeps what depends on it in uniform registers, as copies need.
    const int warp = __shfl_sync(0xffffffffu, threadIdx.x / WARP_SIZE, 0);
    const int lane = threadIdx.x % WARP_SIZE;
    const int first_strip = i64(n_strips) * blockIdx.x / gridDim.x;
    const int end_strip = i64(n_strips) * (blockIdx.x + 1) / gridDim.x;
    u64* barriers = reinterpret_cast<u64*>(smem_base + Shape::BARRIER_AT);
    u64* summed = barriers + Shape::WARPS * Shape::STAGES;
    const SumExchange<Config> exchange{smem_base + Shape::SUM_AT, summed, summed + Shape::STRIPS, lane};

    allow_next_kernel();
    if (threadIdx.x < Shape::WARPS * Shape::STAGES) {
        mbarrier_init(barriers + threadIdx.x, 1);
        if (threadIdx.x < Shape::STRIPS) {
            mbarrier_init(exchange.summed + threadIdx.x, Shape::WARPS);
            mbarrier_init(exchange.stored + threadIdx.x, Shape::TOKEN_BLOCKS);
        }
        mbarrier_init_fence();
    }
    __syncthreads();

    if (warp >= Shape::WARPS) {
        const int fragment = warp - Shape::WARPS;
        const int i = fragment / Shape::TOKEN_BLOCKS;
        const int token_block = fragment % Shape::TOKEN_BLOCKS;
        wait_for_previous_kernel();
        u32 phase = 0;
        for (int strip = first_strip; strip < end_strip; strip += Shape::STRIPS) {
            const int row = (strip + i) * Shape::STRIP_ROWS;
            const RowScales row_scales = RowScales::load(row_scale, row, n, lane);
            const OutputFragment<Config::EPILOGUE, Config::OUT_F32> output(out, row, token_block * 8, m, n, lane);
            float total[4];
            exchange.take(total, phase, i, token_block);
            phase ^= 1;
            if (strip + i < end_strip) {
                output.store(total, row_scales, x_scale);
            }
        }
        return;
    }

    u8* x_slots = smem_base + warp * Shape::STAGES * Shape::X_BYTES;
    u8* weight_slots = smem_base + Shape::WEIGHT_AT + warp * Shape::STAGES * Shape::STRIPS * Shape::STRIP_BYTES;
    u64* full = barriers + warp * Shape::STAGES;
    // A warp beyond the last block has nothing to load and adds zeros.
    SkinnyLoader<Config> loader{&x_map, &weight_map, x_slots, weight_slots, full, k_blocks, end_strip, warp,
                                warp < k_blocks ? first_strip : end_strip, warp};
    // Weights do not depend on the kernel ahead: fill the ring with them while it ends.
    const SkinnyLoader<Config> first_loads = loader;
    int loaded = 0;
    for (; loaded < Shape::STAGES && loader.has_more(); loaded++) {
        if (lane == 0) {
            loader.load_weights(loaded, true);
        }
        loader.advance();
    }
    wait_for_previous_kernel();
    if (lane == 0) {
        SkinnyLoader<Config> again = first_loads;
        for (int slot = 0; slot < loaded; slot++) {
            again.load_x(slot);
            again.advance();
        }
    }

    auto stage = Stage<Shape::STAGES>::consumer();
    u32 phase = 0;
    for (int strip = first_strip; strip < end_strip; strip += Shape::STRIPS) {
        const int strips = min(Shape::STRIPS, end_strip - strip);
        SkinnySums<Config> sums = {};
        for (int block = warp; block < k_blocks; block += Shape::WARPS) {
            mbarrier_wait(full + stage.index, stage.phase);
            multiply_block<Config>(sums, x_slots + stage.index * Shape::X_BYTES,
                                   weight_slots + stage.index * Shape::STRIPS * Shape::STRIP_BYTES, strips, lane);
            __syncwarp();
            if (loader.has_more()) {
                if (lane == 0) {
                    loader.load_weights(stage.index, !loader.x_stays());
                    if (!loader.x_stays()) {
                        loader.load_x(stage.index);
                    }
                }
                loader.advance();
            }
            stage.advance();
        }
        exchange.put(sums, phase, warp);
        phase ^= 1;
    }
}

}  // namespace fireq
