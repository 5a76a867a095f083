/*
 * sm90_int4_fp8_skinny
 *
 * Computes   what sm90_int4_fp8_gemm does, for at most TILE_M tokens
 * Operands   name         dtype         shape                     layout / alignment                      lives in
 *            x            e4m3          [m, k]                    row-major, rows of 16 B, TMA            activations
 *            x_scale      f32           [m]                       contiguous                              activations
 *            weight       int4 | e4m3   [rows, k]                 Int4Fp8WeightLayout | row-major, TMA    weights
 *            row_scale    f32           [rows]                    packed row order                        weights
 *            magnitudes   f32           8 parameters              quant/int4.cuh; ignored for e4m3        host
 *            out          bf16 | f32    [m, n]                    row-major                               activations
 * Numerics   weights and activations are halves on their way into the tensor core, exactly; products are exact, sums
 *            float32. Bitwise equal from run to run: the warps' shares of a sum are added in order
 * Work       1 CTA per SM; CTAs take equal runs of strips (16 packed rows), STRIPS at a time, and no sum crosses CTAs.
 *            Warp w of the first WARPS takes blocks w, w + WARPS, .. of 128 columns; the REDUCERS warps behind them add up
 *            what the others leave in shared memory and store it, each one strip's 8 tokens. Packed rows are the rows of
 *            m16n8k16, tokens its columns
 * Pipeline   each warp feeds itself: a ring of STAGES slots, filled with weights before the kernel ahead has ended. Sums
 *            go through two buffers by turns, so that no warp waits for another
 *            barrier           initialised to   who arrives        who waits    tx bytes
 *            full[warp][slot]  1                lane 0             the warp     strips + x
 *            summed[buffer]    WARPS            lane 0 of a warp   reducers     -
 *            stored[buffer]    REDUCERS         lane 0 of a reducer  warps      -
 * Smem map   0            x: WARPS * STAGES * TILE_M * 128, swizzled 128 B
 *            + weights    WARPS * STAGES * STRIPS strips; e4m3 swizzled 128 B
 *            + sums       twice WARPS * REDUCERS fragments of 512 bytes, REDUCERS = STRIPS * TILE_M / 8
 *            + barriers   8 * (WARPS * STAGES + 4)
 * Barriers   0 (__syncthreads) for the setup only
 * Requires   m <= TILE_M; k a multiple of 16 and x aligned to 16 (tensor map)
 * Not for    more tokens: sm90_int4_fp8_gemm
 * Launcher   io.fireq.kernels.gemm.SkinnyGemm      Oracle  io.fireq.kernels.gemm.LinearOracle
 * Notes      none
 */
#pragma once

#include "fireq/common/math.cuh"
#include "fireq/gemm/int4_weight_chunk.cuh"
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
    static constexpr int COLUMNS = Int4Chunk::COLUMNS;
    static constexpr int STEPS = COLUMNS / 32;
    static constexpr bool INT4 = Config::WEIGHT_BITS == 4;
    static constexpr int TOKEN_BLOCKS = TILE_M / 8;
    static constexpr int REDUCERS = STRIPS * TOKEN_BLOCKS;
    static constexpr int THREADS = (WARPS + REDUCERS) * WARP_SIZE;

    static constexpr int X_BYTES = TILE_M * COLUMNS;
    static constexpr int STRIP_BYTES = INT4 ? Int4Chunk::STRIP_BYTES : Int4Chunk::STRIP_ROWS * COLUMNS;
    static constexpr int FRAGMENT_FLOATS = 4 * WARP_SIZE;
    static constexpr int SUM_BYTES = WARPS * REDUCERS * FRAGMENT_FLOATS * 4;

    static constexpr int WEIGHT_AT = WARPS * STAGES * X_BYTES;
    static constexpr int SUM_AT = WEIGHT_AT + WARPS * STAGES * STRIPS * STRIP_BYTES;
    static constexpr int BARRIER_AT = SUM_AT + 2 * SUM_BYTES;
    static constexpr int SMEM_BYTES = BARRIER_AT + 8 * (WARPS * STAGES + 4);

    static_assert(TILE_M % 8 == 0, "tokens come in columns of m16n8k16");
    static_assert(WARPS * STAGES >= 2 && WARPS * STAGES <= THREADS, "a thread sets up a slot");
    static_assert(Config::WEIGHT_BITS == 4 || Config::WEIGHT_BITS == 8, "weights are int4 or e4m3");
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

// One strip of a block in shared memory, step by step.
template <int WEIGHT_BITS, bool SIGN_MAGNITUDE>
class StripReader;

template <bool SIGN_MAGNITUDE>
class StripReader<4, SIGN_MAGNITUDE> {
    using Table = Int4Table<SIGN_MAGNITUDE>;
    Int4ChunkCodes codes;
    Table upper;
    Table lower;

  public:
    __device__ __forceinline__ StripReader(const u8* strip, int lane, const Int4Magnitudes& magnitudes) {
        codes.load(strip, lane);
        const u32 scales = e4m3x2_to_f16x2(codes.scales);
        upper = Table::of_scale(to_float(f16{u16(scales & 0xffff)}), magnitudes.at);
        lower = Table::of_scale(to_float(f16{u16(scales >> 16)}), magnitudes.at);
    }

    __device__ __forceinline__ StripStep step(int s) const {
        StripStep a;
        upper.decode(codes.half[s / 2].at[s % 2 * 2], a.upper_low, a.upper_high);
        lower.decode(codes.half[s / 2].at[s % 2 * 2 + 1], a.lower_low, a.lower_high);
        return a;
    }
};

// A word of row `row` of a matrix whose rows of 128 bytes TMA has swizzled: columns 16 * piece + 4 * q ..
__device__ __forceinline__ u32 swizzled_word(const u8* matrix, int row, int piece, int q) {
    return *reinterpret_cast<const u32*>(matrix + row * 128 + (piece ^ row % 8) * 16 + q * 4);
}

template <>
class StripReader<8, false> {
    const u8* strip;
    int g;
    int q;

  public:
    __device__ __forceinline__ StripReader(const u8* strip_, int lane, const Int4Magnitudes&)
        : strip(strip_), g(lane / 4), q(lane % 4) {}

    __device__ __forceinline__ StripStep step(int s) const {
        return StripStep{swizzled_word(strip, g, 2 * s, q), swizzled_word(strip, g + 8, 2 * s, q),
                         swizzled_word(strip, g, 2 * s + 1, q), swizzled_word(strip, g + 8, 2 * s + 1, q)};
    }
};

// Queues the loads of one warp, which come in the order in which it uses them.
template <class Config>
class SkinnyLoader {
    using Shape = SkinnyShape<Config>;

  public:
    const TensorMap* x_map;
    const TensorMap* weight_map;
    const u8* weight;
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

    __device__ __forceinline__ void load_weights(int slot) const {
        const int strips = min(Shape::STRIPS, end_strip - strip);
        mbarrier_arrive_expect_bytes(full + slot, strips * Shape::STRIP_BYTES + Shape::X_BYTES);
#pragma unroll
        for (int i = 0; i < Shape::STRIPS; i++) {
            if (i < strips) {
                u8* to = weight_slots + (slot * Shape::STRIPS + i) * Shape::STRIP_BYTES;
                const int s = strip + i;
                if constexpr (Shape::INT4) {
                    const i64 chunk = i64(s / Int4Chunk::STRIPS) * k_blocks + block;
                    const u8* from = weight + chunk * Int4Chunk::BYTES + s % Int4Chunk::STRIPS * Shape::STRIP_BYTES;
                    bulk_load(to, from, Shape::STRIP_BYTES, full + slot, CacheHint::EVICT_FIRST);
                } else {
                    tma_load_2d(to, weight_map, full + slot, block * Shape::COLUMNS, s * Int4Chunk::STRIP_ROWS,
                                CacheHint::EVICT_FIRST);
                }
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
                                               int lane, const Int4Magnitudes& magnitudes) {
    using Shape = SkinnyShape<Config>;
    using Reader = StripReader<Config::WEIGHT_BITS, Config::SIGN_MAGNITUDE>;
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
            const Reader reader(weights + i * Shape::STRIP_BYTES, lane, magnitudes);
#pragma unroll
            for (int s = 0; s < Shape::STEPS; s++) {
                const StripStep a = reader.step(s);
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

// What the warps exchange: buffer b is full when `summed[b]` completes a phase, free when `stored[b]` does.
template <class Config>
struct SumExchange {
    using Shape = SkinnyShape<Config>;
    using Fragment = Packed<float, 4>;

    u8* base;
    u64* summed;
    u64* stored;
    int lane;

    __device__ __forceinline__ Fragment* at(int buffer, int warp, int fragment) const {
        return reinterpret_cast<Fragment*>(base + buffer * Shape::SUM_BYTES) +
               (warp * Shape::REDUCERS + fragment) * WARP_SIZE + lane;
    }

    __device__ __forceinline__ void put(const SkinnySums<Config>& sums, Stage<2> turn, int warp) const {
        mbarrier_wait(stored + turn.index, turn.phase);
#pragma unroll
        for (int i = 0; i < Shape::REDUCERS; i++) {
            const float(&s)[4] = sums[i / Shape::TOKEN_BLOCKS][i % Shape::TOKEN_BLOCKS];
            *at(turn.index, warp, i) = Fragment{{s[0], s[1], s[2], s[3]}};
        }
        __syncwarp();
        if (lane == 0) {
            mbarrier_arrive(summed + turn.index);
        }
    }

    __device__ __forceinline__ void take(float (&total)[4], Stage<2> turn, int fragment) const {
        mbarrier_wait(summed + turn.index, turn.phase);
#pragma unroll
        for (int w = 0; w < Shape::WARPS; w++) {
            const Fragment part = *at(turn.index, w, fragment);
#pragma unroll
            for (int e = 0; e < 4; e++) {
                total[e] = w == 0 ? part.at[e] : total[e] + part.at[e];
            }
        }
        __syncwarp();
        if (lane == 0) {
            mbarrier_arrive(stored + turn.index);
        }
    }
};

template <class Config>
__global__ void __launch_bounds__(SkinnyShape<Config>::THREADS, 1)
    sm90_int4_fp8_skinny(const __grid_constant__ TensorMap x_map, const __grid_constant__ TensorMap weight_map,
                         const u8* weight, const float* x_scale, const float* row_scale, void* out, int m, int n, int rows,
                         int n_strips, int k_blocks, float magnitude1, float magnitude2, float magnitude3,
                         float magnitude4, float magnitude5, float magnitude6, float magnitude7, float magnitude8) {
    using Shape = SkinnyShape<Config>;
    extern __shared__ __align__(1024) u8 smem_base[];
    // Uniform in the eyes of the compiler, which keeps what depends on it in uniform registers, as copies need.
    const int warp = __shfl_sync(0xffffffffu, threadIdx.x / WARP_SIZE, 0);
    const int lane = threadIdx.x % WARP_SIZE;
    const int first_strip = i64(n_strips) * blockIdx.x / gridDim.x;
    const int end_strip = i64(n_strips) * (blockIdx.x + 1) / gridDim.x;
    u64* barriers = reinterpret_cast<u64*>(smem_base + Shape::BARRIER_AT);
    u64* summed = barriers + Shape::WARPS * Shape::STAGES;
    const SumExchange<Config> exchange{smem_base + Shape::SUM_AT, summed, summed + 2, lane};

    allow_next_kernel();
    if (threadIdx.x < Shape::WARPS * Shape::STAGES) {
        mbarrier_init(barriers + threadIdx.x, 1);
        if (threadIdx.x < 2) {
            mbarrier_init(exchange.summed + threadIdx.x, Shape::WARPS);
            mbarrier_init(exchange.stored + threadIdx.x, Shape::REDUCERS);
        }
        mbarrier_init_fence();
    }
    __syncthreads();

    if (warp >= Shape::WARPS) {
        const int fragment = warp - Shape::WARPS;
        const int i = fragment / Shape::TOKEN_BLOCKS;
        const int first_token = fragment % Shape::TOKEN_BLOCKS * 8;
        wait_for_previous_kernel();
        auto turn = Stage<2>::consumer();
        for (int strip = first_strip; strip < end_strip; strip += Shape::STRIPS) {
            const int row = (strip + i) * Int4Chunk::STRIP_ROWS;
            const RowScales row_scales = RowScales::load(row_scale, row, rows, lane);
            const OutputFragment<Config::EPILOGUE, Config::OUT_F32> output(x_scale, out, row, first_token, m, n, lane);
            float total[4];
            exchange.take(total, turn, fragment);
            turn.advance();
            if (strip + i < end_strip) {
                output.store(total, row_scales);
            }
        }
        return;
    }

    const Int4Magnitudes magnitudes{{magnitude1, magnitude2, magnitude3, magnitude4, magnitude5, magnitude6, magnitude7,
                                     magnitude8}};
    u8* x_slots = smem_base + warp * Shape::STAGES * Shape::X_BYTES;
    u8* weight_slots = smem_base + Shape::WEIGHT_AT + warp * Shape::STAGES * Shape::STRIPS * Shape::STRIP_BYTES;
    u64* full = barriers + warp * Shape::STAGES;
    // A warp beyond the last block has nothing to load and adds zeros.
    SkinnyLoader<Config> loader{&x_map, &weight_map, weight, x_slots, weight_slots, full, k_blocks, end_strip, warp,
                                warp < k_blocks ? first_strip : end_strip, warp};
    // Weights do not depend on the kernel ahead: fill the ring with them while it ends.
    const SkinnyLoader<Config> first_loads = loader;
    int loaded = 0;
    for (; loaded < Shape::STAGES && loader.has_more(); loaded++) {
        if (lane == 0) {
            loader.load_weights(loaded);
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
    auto turn = Stage<2>::producer();
    for (int strip = first_strip; strip < end_strip; strip += Shape::STRIPS) {
        const int strips = min(Shape::STRIPS, end_strip - strip);
        SkinnySums<Config> sums = {};
        for (int block = warp; block < k_blocks; block += Shape::WARPS) {
            mbarrier_wait(full + stage.index, stage.phase);
            multiply_block<Config>(sums, x_slots + stage.index * Shape::X_BYTES,
                                   weight_slots + stage.index * Shape::STRIPS * Shape::STRIP_BYTES, strips, lane, magnitudes);
            __syncwarp();
            if (loader.has_more()) {
                if (lane == 0) {
                    loader.load_weights(stage.index);
                    loader.load_x(stage.index);
                }
                loader.advance();
            }
            stage.advance();
        }
        exchange.put(sums, turn, warp);
        turn.advance();
    }
}

}  // namespace fireq
