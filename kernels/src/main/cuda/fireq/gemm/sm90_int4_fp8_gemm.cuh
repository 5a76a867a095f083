/*
 * sm90_int4_fp8_gemm
 *
 * Computes   y[t,r] = x_scale[t] * row_scale[r] * sum_k x[t,k] * w8[r,k] over the packed rows r, then the epilogue:
 *              STORE         out[t,r] = y[t,r]
 *              RESIDUAL_ADD  out[t,r] = out[t,r] + y[t,r]
 *              SILU_MUL      out[t,8b+i] = silu(y[t,16b+i]) * y[t,16b+8+i],  i < 8
 *            w8 = e4m3(value(code) * group_scale), quant/int4.cuh, or the weight's e4m3 byte
 * Operands   name         dtype         shape                     layout / alignment                 lives in
 *            x            e4m3          [m, k]                    row-major, rows of 16 B, TMA       activations
 *            x_scale      f32           [m]                       contiguous                         activations
 *            weight       int4 | e4m3   [rows, k]                 Int4Fp8WeightLayout | row-major, TMA   weights
 *            row_scale    f32           [rows]                    packed row order                   weights
 *            magnitudes   f32           8 parameters              quant/int4.cuh; ignored for e4m3   host
 *            out          bf16 | f32    [m, n]                    row-major; rows of 16 B if STAGED  activations
 *            partials     f32           2 slots per CTA           split_k.cuh; SPLIT_K only          workspace
 *            counters     u32           [CTAs, WARPGROUPS]        zero between launches              workspace
 * Numerics   products exact; the tensor core sums with fewer bits than float32 (about 14 of the largest addend). PROMOTE
 *            moves its sums to float32 registers every TILE_K, which leaves an error of about 2^-13 of the largest sum of
 *            TILE_K products per block, averaging out over k; without it the same step applies to the running sum.
 *            Epilogue in float32, one rounding where out is bf16
 * Work       persistent, 1 CTA per SM, tiles of TILE_N = 64 * WARPGROUPS packed rows by TILE_M tokens; order in
 *            tile_scheduler.cuh. Rows are the M side of wgmma, tokens the N side. Warpgroups 0 .. WARPGROUPS - 1 decode
 *            and multiply 64 rows each, the last warpgroup's first thread loads. CLUSTER CTAs take neighbouring rows of
 *            the same tokens and share x by multicast
 * Pipeline   STAGES slots of TILE_K columns
 *            barrier     initialised to            who arrives                           who waits     tx bytes
 *            full[s]     1                         producer                              consumers     weights + x tile
 *            empty[s]    4 * WARPGROUPS * CLUSTER  each consumer warp of every CTA that  producer      -
 *                                                  x is multicast with
 *            residual[w] 1                         first thread of warpgroup w           warpgroup w   out tiles
 * Smem map   0                              x, STAGES * TILE_M * TILE_K, swizzled 128 B
 *            + weights                      e4m3: STAGES * TILE_N * TILE_K, swizzled; int4: STAGES * WARPGROUPS chunks
 *            + barriers                     8 * (2 * STAGES + WARPGROUPS)
 *            + flags                        4 * WARPGROUPS (SPLIT_K)
 *            + out tiles (STAGED)           TILE_M / OUT_TOKENS * WARPGROUPS * OutTile, from a multiple of 1024
 *            + scales (STAGED)              WARPGROUPS * 4 * TILE_M
 * Barriers   1 + w: the 128 threads of warpgroup w
 * Requires   k a multiple of 16 and x aligned to 16 (tensor map); rows padded to whole tiles for int4 (launcher);
 *            STAGED: n a multiple of 8 (tensor map)
 * Not for    group sizes that do not cover whole TILE_K blocks, rows of x that are not multiples of 16: PlainGemm
 * Launcher   io.fireq.kernels.gemm.Int4Fp8Gemm      Oracle  io.fireq.kernels.gemm.LinearOracle
 * Notes      none
 */
#pragma once

#include "fireq/common/math.cuh"
#include "fireq/gemm/store_output.cuh"
#include "fireq/gemm/int4_weight_chunk.cuh"
#include "fireq/gemm/split_k.cuh"
#include "fireq/gemm/tile_scheduler.cuh"
#include "fireq/pipeline/stage.cuh"
#include "fireq/ptx/cluster.cuh"
#include "fireq/ptx/griddep.cuh"
#include "fireq/ptx/reg.cuh"
#include "fireq/ptx/tma.cuh"
#include "fireq/ptx/wgmma.cuh"

namespace fireq {

// What the Config's numbers amount to.
template <class Config>
struct GemmShape {
    static constexpr int TILE_M = Config::TILE_M;
    static constexpr int TILE_K = 128;
    static constexpr int WARPGROUPS = Config::WARPGROUPS;
    static constexpr int TILE_N = 64 * WARPGROUPS;
    static constexpr int STAGES = Config::STAGES;
    static constexpr int CLUSTER = Config::CLUSTER;
    static constexpr bool INT4 = Config::WEIGHT_BITS == 4;
    static constexpr int STEPS = TILE_K / 32;
    using Fragments = Int4ChunkFragments<Config::SIGN_MAGNITUDE>;

    static constexpr int WARPGROUP_THREADS = 128;
    static constexpr int CONSUMER_THREADS = WARPGROUPS * WARPGROUP_THREADS;
    static constexpr int THREADS = CONSUMER_THREADS + WARPGROUP_THREADS;
    // The CTA's registers are those it is launched with: what the producer gives back, the consumers share.
    static constexpr int LAUNCH_REGISTERS = 65536 / THREADS / 8 * 8;
    static constexpr int PRODUCER_REGISTERS = 40;
    static constexpr int CONSUMER_REGISTERS =
        (LAUNCH_REGISTERS * THREADS - PRODUCER_REGISTERS * WARPGROUP_THREADS) / CONSUMER_THREADS / 8 * 8;

    static constexpr int X_BYTES = TILE_M * TILE_K;
    static constexpr int WARPGROUP_WEIGHT_BYTES = INT4 ? Int4Chunk::BYTES : 64 * TILE_K;
    static constexpr int WEIGHT_BYTES = WARPGROUPS * WARPGROUP_WEIGHT_BYTES;
    using Tile = OutTile<Config::EPILOGUE>;
    static constexpr int OUT_TILES = TILE_M / OUT_TOKENS;
    static constexpr int OUT_BYTES = Config::STAGED ? OUT_TILES * Tile::BYTES : 0;
    static constexpr int SCALE_BYTES = Config::STAGED ? TILE_M * 4 : 0;

    static constexpr int WEIGHT_AT = STAGES * X_BYTES;
    static constexpr int BARRIER_AT = WEIGHT_AT + STAGES * WEIGHT_BYTES;
    static constexpr int FLAG_AT = BARRIER_AT + 8 * (2 * STAGES + WARPGROUPS);
    static constexpr int OUT_AT = align_up(FLAG_AT + 4 * WARPGROUPS, 1024);
    static constexpr int SCALE_AT = OUT_AT + WARPGROUPS * OUT_BYTES;
    static constexpr int SMEM_BYTES = SCALE_AT + WARPGROUPS * SCALE_BYTES;

    static_assert(Config::WEIGHT_BITS == 4 || Config::WEIGHT_BITS == 8, "weights are int4 or e4m3");
    static_assert(!Config::OUT_F32 || (Config::EPILOGUE == STORE && !Config::STAGED), "float32 is stored directly");
    static_assert(!Config::STAGED || TILE_M % WARPGROUP_THREADS == 0, "each thread fetches the scales of some tokens");
    static_assert(CLUSTER == 1 || TILE_M % (8 * CLUSTER) == 0, "each CTA of a cluster loads whole swizzle atoms of x");
    static_assert(SMEM_BYTES == Config::SMEM_BYTES, "the launcher asks for the shared memory that the kernel lays out");
};

template <class Config>
struct GemmSmem {
    using Shape = GemmShape<Config>;
    u8* base;

    __device__ __forceinline__ u8* x(int slot) const { return base + slot * Shape::X_BYTES; }
    __device__ __forceinline__ u8* weight(int slot, int warpgroup) const {
        return base + Shape::WEIGHT_AT + slot * Shape::WEIGHT_BYTES + warpgroup * Shape::WARPGROUP_WEIGHT_BYTES;
    }
    __device__ __forceinline__ u8* out_tile(int warpgroup, int index) const {
        return base + Shape::OUT_AT + warpgroup * Shape::OUT_BYTES + index * Shape::Tile::BYTES;
    }
    // [TILE_M] scales of the tile's tokens, a copy for each warpgroup.
    __device__ __forceinline__ float* x_scales(int warpgroup) const {
        return reinterpret_cast<float*>(base + Shape::SCALE_AT + warpgroup * Shape::SCALE_BYTES);
    }
    __device__ __forceinline__ u64* full(int slot) const {
        return reinterpret_cast<u64*>(base + Shape::BARRIER_AT) + slot;
    }
    __device__ __forceinline__ u64* empty(int slot) const { return full(Shape::STAGES + slot); }
    __device__ __forceinline__ u64* residual(int warpgroup) const { return full(2 * Shape::STAGES + warpgroup); }
    __device__ __forceinline__ u32* flag(int warpgroup) const {
        return reinterpret_cast<u32*>(base + Shape::FLAG_AT) + warpgroup;
    }
};

// The k blocks of all pieces of a worker, one after another.
template <class Config>
struct BlockCursor {
    TileScheduler<Config::SPLIT_K> tile;
    int k_block = 0;

    __device__ __forceinline__ bool next() {
        k_block++;
        if (k_block < tile.end_k) {
            return true;
        }
        const bool more = tile.next();
        k_block = tile.first_k;
        return more;
    }
};

template <class Config>
class GemmProducer {
    using Shape = GemmShape<Config>;

  public:
    const TensorMap* x_map;
    const TensorMap* weight_map;
    const u8* weight;
    GemmSmem<Config> smem;
    TileGrid grid;
    int rank;

    __device__ __forceinline__ void run(const TileScheduler<Config::SPLIT_K>& schedule) const {
        using Ring = Stage<Shape::STAGES>;
        BlockCursor<Config> blocks{schedule};
        BlockCursor<Config> first_blocks{schedule};
        // Weights do not depend on the kernel before this one: fill the ring with them while it ends.
        int loaded = 0;
        bool more = blocks.next();
        while (more && loaded < Shape::STAGES) {
            load_weight(blocks, loaded++);
            more = blocks.next();
        }
        wait_for_previous_kernel();
        for (int slot = 0; slot < loaded; slot++) {
            first_blocks.next();
            load_x(first_blocks, slot);
        }
        Ring ring = Ring::producer();
        for (int slot = 0; slot < loaded; slot++) {
            ring.advance();
        }
        for (; more; more = blocks.next()) {
            if constexpr (Shape::CLUSTER == 1) {
                mbarrier_wait(smem.empty(ring.index), ring.phase);
            } else {
                mbarrier_wait_cluster(smem.empty(ring.index), ring.phase);
            }
            load_weight(blocks, ring.index);
            load_x(blocks, ring.index);
            ring.advance();
        }
    }

  private:
    __device__ __forceinline__ void load_weight(const BlockCursor<Config>& at, int slot) const {
        // Weights that one tile of tokens reads are not needed again in this step.
        const CacheHint hint = grid.tiles_m == 1 ? CacheHint::EVICT_FIRST : CacheHint::EVICT_NORMAL;
        mbarrier_arrive_expect_bytes(smem.full(slot), Shape::WEIGHT_BYTES + Shape::X_BYTES);
        const int tile = at.tile.tile_n * Shape::CLUSTER + rank;
#pragma unroll
        for (int w = 0; w < Shape::WARPGROUPS; w++) {
            const int rows64 = tile * Shape::WARPGROUPS + w;
            if constexpr (Shape::INT4) {
                const i64 chunk = i64(rows64) * grid.k_blocks + at.k_block;
                bulk_load(smem.weight(slot, w), weight + chunk * Int4Chunk::BYTES, Int4Chunk::BYTES, smem.full(slot), hint);
            } else {
                tma_load_2d(smem.weight(slot, w), weight_map, smem.full(slot), at.k_block * Shape::TILE_K, rows64 * 64,
                            hint);
            }
        }
    }

    __device__ __forceinline__ void load_x(const BlockCursor<Config>& at, int slot) const {
        constexpr int ROWS = Shape::TILE_M / Shape::CLUSTER;
        constexpr u16 ALL = (1 << Shape::CLUSTER) - 1;
        const int column = at.k_block * Shape::TILE_K;
        const int row = at.tile.tile_m * Shape::TILE_M;
        if constexpr (Shape::CLUSTER == 1) {
            tma_load_2d(smem.x(slot), x_map, smem.full(slot), column, row);
        } else {
            tma_load_2d_multicast(smem.x(slot) + rank * ROWS * Shape::TILE_K, x_map, smem.full(slot), column,
                                  row + rank * ROWS, ALL);
        }
    }
};

// One warpgroup's share of a tile's products: `sum` over the k blocks of a piece.
template <class Config>
class GemmConsumer {
    using Shape = GemmShape<Config>;
    using Mma = WgmmaF32<Shape::TILE_M>;
    using Ring = Stage<Shape::STAGES>;
    using Fragments = typename Shape::Fragments;

  public:
    static constexpr int REGISTERS = Mma::REGISTERS;

    GemmSmem<Config> smem;
    Int4Magnitudes magnitudes;
    int warpgroup;
    int thread;
    Ring ring;
    u32 empty_address;  // of slot 0's barrier in the CTA that this thread tells; 0 where it tells none

    __device__ __forceinline__ GemmConsumer(const GemmSmem<Config>& smem_, const Int4Magnitudes& magnitudes_,
                                            int warpgroup_, int thread_)
        : smem(smem_), magnitudes(magnitudes_), warpgroup(warpgroup_), thread(thread_), ring(Ring::consumer()) {
        const int lane = thread % WARP_SIZE;
        empty_address = lane < Shape::CLUSTER ? cluster_address_of(smem_address(smem.empty(0)), lane) : 0;
    }

    __device__ __forceinline__ void multiply(float (&sum)[REGISTERS], int blocks) {
        if constexpr (Config::PROMOTE) {
#pragma unroll
            for (int i = 0; i < REGISTERS; i++) {
                sum[i] = 0.0f;
            }
        }
        Fragments even;
        Fragments odd;
        int previous = -1;
        mbarrier_wait(smem.full(ring.index), ring.phase);
        if constexpr (Shape::INT4) {
            Int4ChunkCodes codes;
            load(codes);
            even.decode(codes, magnitudes);
        }
        // Two fragment buffers: one is multiplied while the next block's is decoded.
        for (int block = 0;;) {
            step(sum, even, odd, previous, block > 0, block + 1 < blocks);
            if (++block == blocks) {
                break;
            }
            step(sum, odd, even, previous, true, block + 1 < blocks);
            if (++block == blocks) {
                break;
            }
        }
        if constexpr (!Config::PROMOTE) {
            wgmma_wait<0>();
            wgmma_pin(sum);
            release(previous);
        }
    }

  private:
    // Multiplies the ring's current block, whose fragments are in `now`, and decodes the next one into `next`.
    __device__ __forceinline__ void step(float (&sum)[REGISTERS], Fragments& now, Fragments& next,
                                         int& previous, bool accumulate, bool more) {
        const int slot = ring.index;
        ring.advance();
        if constexpr (Config::PROMOTE) {
            float block_sum[REGISTERS];
            issue(block_sum, now, slot, false);
            if (more) {
                mbarrier_wait(smem.full(ring.index), ring.phase);
                if constexpr (Shape::INT4) {
                    Int4ChunkCodes codes;
                    load(codes);
                    next.decode(codes, magnitudes);
                    // Here, in the shadow of the products, and not behind the wait.
                    next.pin();
                }
            }
            wgmma_wait<0>();
            wgmma_pin(block_sum);
            if constexpr (Shape::INT4) {
                now.pin();
            }
            release(slot);
#pragma unroll
            for (int i = 0; i < REGISTERS; i++) {
                sum[i] += block_sum[i];
            }
        } else {
            issue(sum, now, slot, accumulate);
            Int4ChunkCodes codes;
            if (more) {
                mbarrier_wait(smem.full(ring.index), ring.phase);
                if constexpr (Shape::INT4) {
                    load(codes);
                }
            }
            // The block before this one is done: its slot and its fragments, `next`, are free.
            wgmma_wait<1>();
            if constexpr (Shape::INT4) {
                next.pin();
            }
            if (previous >= 0) {
                release(previous);
            }
            previous = slot;
            if (Shape::INT4 && more) {
                next.decode(codes, magnitudes);
            }
        }
    }

    __device__ __forceinline__ void issue(float (&d)[REGISTERS], Fragments& a, int slot, bool accumulate) {
        const u64 x = wgmma_descriptor(smem.x(slot), Swizzle::B128, Shape::TILE_K);
        if constexpr (Shape::INT4) {
            // All fragments are written before the fence.
            a.pin();
        }
        wgmma_fence();
#pragma unroll
        for (int s = 0; s < Shape::STEPS; s++) {
            if constexpr (Shape::INT4) {
                Mma::rs(d, a.step[s], wgmma_advance(x, 32 * s), accumulate || s > 0);
            } else {
                const u64 w = wgmma_descriptor(smem.weight(slot, warpgroup), Swizzle::B128, Shape::TILE_K);
                Mma::ss(d, wgmma_advance(w, 32 * s), wgmma_advance(x, 32 * s), accumulate || s > 0);
            }
        }
        wgmma_commit();
    }

    // This lane's codes of the ring's current block.
    __device__ __forceinline__ void load(Int4ChunkCodes& codes) const {
        codes.load(smem.weight(ring.index, warpgroup) + thread / WARP_SIZE * Int4Chunk::STRIP_BYTES, thread % WARP_SIZE);
    }

    __device__ __forceinline__ void release(int slot) const {
        __syncwarp();
        if (empty_address != 0) {
            mbarrier_arrive_cluster_after_reading(empty_address + 8 * slot);
        }
    }
};

// The way of one warpgroup's sums through shared memory to out, OUT_TOKENS tokens at a time.
template <class Config>
class StagedOutput {
    using Shape = GemmShape<Config>;
    static constexpr int SCALES = ceil_div(Shape::TILE_M, Shape::WARPGROUP_THREADS);

  public:
    const TensorMap* out_map;
    GemmSmem<Config> smem;
    int warpgroup;
    int thread;
    int barrier;
    u32 residual_phase = 0;
    float x_scale[SCALES];

    // Before the tile is computed: fetches the scales of its tokens and what is added to it.
    __device__ __forceinline__ void begin(const float* x_scales, int channel, int token, int m) {
#pragma unroll
        for (int i = 0; i < SCALES; i++) {
            const int t = token + i * Shape::WARPGROUP_THREADS + thread;
            x_scale[i] = t < m ? x_scales[t] : 0.0f;
        }
        if (Config::EPILOGUE == RESIDUAL_ADD && thread == 0) {
            tma_store_wait_read<0>();
            mbarrier_arrive_expect_bytes(smem.residual(warpgroup), Shape::OUT_BYTES);
#pragma unroll
            for (int i = 0; i < Shape::OUT_TILES; i++) {
                tma_load_2d(smem.out_tile(warpgroup, i), out_map, smem.residual(warpgroup), channel, token + i * OUT_TOKENS);
            }
        }
    }

    // All threads of the warpgroup take part; nothing is stored unless `is_complete`.
    template <int REGISTERS>
    __device__ __forceinline__ void finish(const float (&sum)[REGISTERS], const RowScales& row_scales, int channel,
                                           int token, bool is_complete) {
        float* scales = smem.x_scales(warpgroup);
#pragma unroll
        for (int i = 0; i < SCALES; i++) {
            scales[i * Shape::WARPGROUP_THREADS + thread] = x_scale[i];
        }
        if (Config::EPILOGUE == RESIDUAL_ADD) {
            mbarrier_wait(smem.residual(warpgroup), residual_phase);
            residual_phase ^= 1;
        } else if (thread == 0) {
            tma_store_wait_read<0>();
        }
        named_barrier_sync(barrier, Shape::WARPGROUP_THREADS);
        if (is_complete) {
#pragma unroll
            for (int i = 0; i < Shape::OUT_TILES; i++) {
                fill_tile<Config::EPILOGUE>(smem.out_tile(warpgroup, i), sum + i * (OUT_TOKENS / 2), row_scales,
                                            scales + i * OUT_TOKENS, thread);
            }
        }
        fence_async_proxy();
        named_barrier_sync(barrier, Shape::WARPGROUP_THREADS);
        if (thread == 0 && is_complete) {
#pragma unroll
            for (int i = 0; i < Shape::OUT_TILES; i++) {
                tma_store_2d(out_map, smem.out_tile(warpgroup, i), channel, token + i * OUT_TOKENS);
            }
            tma_store_commit();
        }
    }
};

template <class Config>
__global__ void __launch_bounds__(GemmShape<Config>::THREADS, 1)
    sm90_int4_fp8_gemm(const __grid_constant__ TensorMap x_map, const __grid_constant__ TensorMap weight_map,
                       const __grid_constant__ TensorMap out_map, const u8* weight, const float* x_scale,
                       const float* row_scale, void* out, float* partials, u32* counters, int m, int n, int rows,
                       int k_blocks, int tiles_m, int tiles_n, float magnitude1, float magnitude2, float magnitude3,
                       float magnitude4, float magnitude5, float magnitude6, float magnitude7, float magnitude8) {
    using Shape = GemmShape<Config>;
    using Consumer = GemmConsumer<Config>;
    extern __shared__ __align__(1024) u8 smem_base[];
    const GemmSmem<Config> smem{smem_base};
    const TileGrid grid{tiles_m, tiles_n, k_blocks};
    const int rank = Shape::CLUSTER == 1 ? 0 : int(cluster_cta_rank());
    const int worker = blockIdx.x / Shape::CLUSTER;
    const int workers = gridDim.x / Shape::CLUSTER;
    TileScheduler<Config::SPLIT_K> schedule(grid, worker, workers);

    if (threadIdx.x == 0) {
        trap_unless(smem_address(smem_base) % 1024 == 0);
        for (int slot = 0; slot < Shape::STAGES; slot++) {
            mbarrier_init(smem.full(slot), 1);
            mbarrier_init(smem.empty(slot), 4 * Shape::WARPGROUPS * Shape::CLUSTER);
        }
        for (int w = 0; w < Shape::WARPGROUPS; w++) {
            mbarrier_init(smem.residual(w), 1);
        }
        mbarrier_init_fence();
    }
    if constexpr (Shape::CLUSTER == 1) {
        __syncthreads();
    } else {
        cluster_sync();
    }

    if (threadIdx.x >= Shape::CONSUMER_THREADS) {
        give_registers<Shape::PRODUCER_REGISTERS>();
        if (threadIdx.x == Shape::CONSUMER_THREADS) {
            GemmProducer<Config>{&x_map, &weight_map, weight, smem, grid, rank}.run(schedule);
            allow_next_kernel();
        }
    } else {
        take_registers<Shape::CONSUMER_REGISTERS>();
        const int warpgroup = threadIdx.x / Shape::WARPGROUP_THREADS;
        const int thread = threadIdx.x % Shape::WARPGROUP_THREADS;
        const int barrier = 1 + warpgroup;
        Consumer consumer(smem, Int4Magnitudes{{magnitude1, magnitude2, magnitude3, magnitude4, magnitude5, magnitude6,
                                                magnitude7, magnitude8}},
                          warpgroup, thread);
        StagedOutput<Config> output{&out_map, smem, warpgroup, thread, barrier};
        wait_for_previous_kernel();

        while (schedule.next()) {
            const int row = ((schedule.tile_n * Shape::CLUSTER + rank) * Shape::WARPGROUPS + warpgroup) * 64;
            const int token = schedule.tile_m * Shape::TILE_M;
            const int channel = Config::EPILOGUE == SILU_MUL ? row / 2 : row;
            if constexpr (Config::STAGED) {
                output.begin(x_scale, channel, token, m);
            }
            // Fetched while the products are computed, where registers are left for them.
            RowScales row_scales;
            if constexpr (Shape::INT4) {
                row_scales = RowScales::load(row_scale, row, rows, thread);
            }
            float sum[Consumer::REGISTERS];
            consumer.multiply(sum, schedule.end_k - schedule.first_k);
            bool is_complete = true;
            if constexpr (Config::SPLIT_K) {
                if (!schedule.is_whole_tile()) {
                    // At most one of the tiles that a worker begins goes on in another worker: a counter for each will do.
                    const int first_worker = schedule.first_worker();
                    const int counter = (first_worker * Shape::CLUSTER + rank) * Shape::WARPGROUPS + warpgroup;
                    is_complete = add_pieces<Consumer::REGISTERS, Shape::WARPGROUPS>(
                        sum, partials, counters + counter, smem.flag(warpgroup), barrier, warpgroup, thread, worker,
                        first_worker, schedule.last_worker(), Shape::CLUSTER, rank);
                }
            }
            if constexpr (!Shape::INT4) {
                row_scales = RowScales::load(row_scale, row, rows, thread);
            }
            if constexpr (Config::STAGED) {
                output.finish(sum, row_scales, channel, token, is_complete);
            } else if (is_complete) {
                store_direct<Config::EPILOGUE, Config::OUT_F32>(sum, row_scales, x_scale, out, row, token, m, n, thread);
            }
        }
        if (Config::STAGED && thread == 0) {
            tma_store_wait<0>();
        }
    }
    // A CTA that ends takes its barriers with it, and its neighbours may still arrive there.
    if constexpr (Shape::CLUSTER > 1) {
        __syncwarp();
        cluster_sync();
    }
}

}  // namespace fireq
