/*
 * sm90_int4_fp8_narrow
 *
 * Computes   what sm90_int4_fp8_gemm does, for at most TILE_M tokens: too many for sm90_int4_fp8_skinny, too few to share
 *            the work by tiles
 * Operands   name         dtype         shape                     layout / alignment                 lives in
 *            x            e4m3          [m, k]                    row-major, rows of 16 B, TMA       activations
 *            x_scale      f32           [m]                       contiguous                         activations
 *            weight       int4          [rows, k]                 Int4Fp8WeightLayout                weights
 *            row_scale    f32           [rows]                    packed row order                   weights
 *            magnitudes   f32           8 parameters              quant/int4.cuh                     host
 *            out          bf16 | f32    [m, n]                    row-major                          activations
 * Numerics   as sm90_int4_fp8_gemm without PROMOTE within a warpgroup's share of k, float32 between the shares; these are
 *            added in order, so that results are bitwise equal from run to run
 * Work       clusters take runs of chunks (64 packed rows). The blocks of 128 columns are dealt out to the CTAs of the
 *            cluster, then to their WARPGROUPS; each warpgroup decodes and multiplies all 64 rows of its blocks. Their
 *            sums meet in shared memory, where warpgroup w finishes TILE_M / WARPGROUPS tokens; in a cluster of two each
 *            CTA finishes half of the rows
 * Pipeline   each warpgroup feeds itself: a ring of STAGES slots, filled with weights before the kernel ahead has ended
 *            barrier         initialised to    who arrives                  who waits     tx bytes
 *            full[w][slot]   1                 its thread 0                 warpgroup w   chunk + x
 *            empty[w][slot]  4                 each warp of warpgroup w     its thread 0  -
 *            received        2 * WARPGROUPS    warps of the other CTA       all           -
 * Smem map   0            x: WARPGROUPS * STAGES * TILE_M * 128, swizzled 128 B
 *            + weights    WARPGROUPS * STAGES chunks
 *            + shares     (WARPGROUPS - 1) * TILE_M / 8 fragments of 2048 bytes
 *            + received   CLUSTER 2: TILE_M / 8 half fragments of 1024 bytes
 *            + barriers   8 * (2 * WARPGROUPS * STAGES + 1)
 * Barriers   0 (__syncthreads)
 * Requires   m <= TILE_M; k a multiple of 16 and x aligned to 16 (tensor map); a cluster of two has one chunk (launcher)
 * Not for    e4m3 weights: sm90_int4_fp8_gemm
 * Launcher   io.fireq.kernels.gemm.NarrowGemm      Oracle  io.fireq.kernels.gemm.LinearOracle
 * Notes      none
 */
#pragma once

#include "fireq/common/math.cuh"
#include "fireq/gemm/int4_weight_chunk.cuh"
#include "fireq/gemm/store_output.cuh"
#include "fireq/pipeline/stage.cuh"
#include "fireq/ptx/cluster.cuh"
#include "fireq/ptx/griddep.cuh"
#include "fireq/ptx/tma.cuh"
#include "fireq/ptx/wgmma.cuh"

namespace fireq {

template <class Config>
struct NarrowShape {
    static constexpr int TILE_M = Config::TILE_M;
    static constexpr int WARPGROUPS = Config::WARPGROUPS;
    static constexpr int STAGES = Config::STAGES;
    static constexpr int CLUSTER = Config::CLUSTER;
    static constexpr int COLUMNS = Int4Chunk::COLUMNS;
    static constexpr int STEPS = Int4Chunk::STEPS;
    static constexpr int WARPGROUP_THREADS = 128;
    static constexpr int THREADS = WARPGROUPS * WARPGROUP_THREADS;

    using Mma = WgmmaF32<TILE_M>;
    using Fragments = Int4ChunkFragments<Config::SIGN_MAGNITUDE>;
    static constexpr int TOKEN_BLOCKS = TILE_M / 8;
    static constexpr int OWN_BLOCKS = TOKEN_BLOCKS / WARPGROUPS;  // that a warpgroup finishes

    static constexpr int X_BYTES = TILE_M * COLUMNS;
    static constexpr int FRAGMENT_BYTES = WARPGROUP_THREADS * 16;
    static constexpr int WEIGHT_AT = WARPGROUPS * STAGES * X_BYTES;
    static constexpr int SHARE_AT = WEIGHT_AT + WARPGROUPS * STAGES * Int4Chunk::BYTES;
    static constexpr int RECEIVED_AT = SHARE_AT + (WARPGROUPS - 1) * TOKEN_BLOCKS * FRAGMENT_BYTES;
    static constexpr int BARRIER_AT = RECEIVED_AT + (CLUSTER == 1 ? 0 : TOKEN_BLOCKS * FRAGMENT_BYTES / 2);
    static constexpr int SMEM_BYTES = BARRIER_AT + 8 * (2 * WARPGROUPS * STAGES + 1);

    static_assert(STAGES >= 3, "one slot is multiplied, one decoded and one given back at a time");
    static_assert(TOKEN_BLOCKS % WARPGROUPS == 0, "warpgroups finish equal shares");
    static_assert(CLUSTER == 1 || CLUSTER == 2, "the CTAs of a cluster finish half a chunk each");
    static_assert(!Config::OUT_F32 || Config::EPILOGUE == STORE, "float32 is stored as it is");
    static_assert(SMEM_BYTES == Config::SMEM_BYTES, "the launcher asks for the shared memory that the kernel lays out");
};

// Which chunks and blocks of columns a CTA works on.
struct NarrowShare {
    int first_chunk;
    int end_chunk;
    int first_block;
    int end_block;
};

template <class Config>
struct NarrowSmem {
    using Shape = NarrowShape<Config>;
    using Fragment = Packed<float, 4>;
    u8* base;

    __device__ __forceinline__ u8* x(int warpgroup, int slot) const {
        return base + (warpgroup * Shape::STAGES + slot) * Shape::X_BYTES;
    }
    __device__ __forceinline__ u8* weight(int warpgroup, int slot) const {
        return base + Shape::WEIGHT_AT + (warpgroup * Shape::STAGES + slot) * Int4Chunk::BYTES;
    }
    __device__ __forceinline__ u64* full(int warpgroup, int slot) const {
        return reinterpret_cast<u64*>(base + Shape::BARRIER_AT) + warpgroup * Shape::STAGES + slot;
    }
    __device__ __forceinline__ u64* empty(int warpgroup, int slot) const {
        return full(warpgroup, slot) + Shape::WARPGROUPS * Shape::STAGES;
    }
    __device__ __forceinline__ u64* received() const { return full(0, 2 * Shape::WARPGROUPS * Shape::STAGES); }
    // Fragment `block` of those that `to` finishes, from `from`.
    __device__ __forceinline__ Fragment* share(int to, int from, int block, int thread) const {
        const int source = from - (from > to);
        const int index = (to * (Shape::WARPGROUPS - 1) + source) * Shape::OWN_BLOCKS + block;
        return reinterpret_cast<Fragment*>(base + Shape::SHARE_AT) + index * Shape::WARPGROUP_THREADS + thread;
    }
    // What the other CTA of the cluster adds to fragment `block` of `warpgroup`, for two of its warps.
    __device__ __forceinline__ Fragment* other(int warpgroup, int block, int thread) const {
        const int index = warpgroup * Shape::OWN_BLOCKS + block;
        return reinterpret_cast<Fragment*>(base + Shape::RECEIVED_AT) + index * (Shape::WARPGROUP_THREADS / 2) +
               thread % (Shape::WARPGROUP_THREADS / 2);
    }
};

// Queues the loads of one warpgroup, which come in the order in which it uses them.
template <class Config>
struct NarrowLoader {
    using Shape = NarrowShape<Config>;

    NarrowSmem<Config> smem;
    const TensorMap* x_map;
    const u8* weight;
    int k_blocks;
    NarrowShare share;
    int warpgroup;
    int chunk;  // of the next load
    int block;

    __device__ __forceinline__ bool has_more() const { return chunk < share.end_chunk; }

    __device__ __forceinline__ void advance() {
        block += Shape::WARPGROUPS;
        if (block >= share.end_block) {
            block = share.first_block + warpgroup;
            chunk++;
        }
    }

    __device__ __forceinline__ void load_weights(int slot) const {
        mbarrier_arrive_expect_bytes(smem.full(warpgroup, slot), Int4Chunk::BYTES + Shape::X_BYTES);
        bulk_load(smem.weight(warpgroup, slot), weight + (i64(chunk) * k_blocks + block) * Int4Chunk::BYTES, Int4Chunk::BYTES,
                  smem.full(warpgroup, slot), CacheHint::EVICT_FIRST);
    }

    __device__ __forceinline__ void load_x(int slot) const {
        tma_load_2d(smem.x(warpgroup, slot), x_map, smem.full(warpgroup, slot), block * Shape::COLUMNS, 0,
                    CacheHint::EVICT_LAST);
    }
};

// What a warpgroup multiplies.
template <class Config>
class NarrowConsumer {
    using Shape = NarrowShape<Config>;
    using Mma = typename Shape::Mma;
    using Fragments = typename Shape::Fragments;

  public:
    using Sums = float[Mma::REGISTERS];

    NarrowSmem<Config> smem;
    Int4Magnitudes magnitudes;
    int warpgroup;
    int thread;
    NarrowLoader<Config> loader;
    Stage<Shape::STAGES> stage = Stage<Shape::STAGES>::consumer();
    u32 empty_phase = 0;  // of the slot that is given back next

    // Fills the ring, with weights at once, for they do not depend on the kernel ahead.
    __device__ __forceinline__ void start() {
        const NarrowLoader<Config> first = loader;
        int loaded = 0;
        for (; loaded < Shape::STAGES && loader.has_more(); loaded++) {
            if (thread == 0) {
                loader.load_weights(loaded);
            }
            loader.advance();
        }
        wait_for_previous_kernel();
        if (thread == 0) {
            NarrowLoader<Config> again = first;
            for (int slot = 0; slot < loaded; slot++) {
                again.load_x(slot);
                again.advance();
            }
        }
    }

    // The sums over `blocks` blocks of one chunk.
    __device__ __forceinline__ void multiply(Sums& sums, int blocks) {
        if (blocks == 0) {
#pragma unroll
            for (int i = 0; i < Mma::REGISTERS; i++) {
                sums[i] = 0.0f;
            }
            return;
        }
        wgmma_discard(sums);
        Fragments even;
        Fragments odd;
        int previous = -1;
        even.decode(next_codes(), magnitudes);
        // Two fragment buffers: one is multiplied while the next block's is decoded.
        for (int block = 0;;) {
            step(sums, even, odd, previous, block > 0, block + 1 < blocks);
            if (++block == blocks) {
                break;
            }
            step(sums, odd, even, previous, true, block + 1 < blocks);
            if (++block == blocks) {
                break;
            }
        }
        wgmma_wait<0>();
        wgmma_pin(sums);
        release(previous);
    }

  private:

    __device__ __forceinline__ Int4ChunkCodes next_codes() const {
        mbarrier_wait(smem.full(warpgroup, stage.index), stage.phase);
        Int4ChunkCodes codes;
        codes.load(smem.weight(warpgroup, stage.index) + thread / WARP_SIZE * Int4Chunk::STRIP_BYTES, thread % WARP_SIZE);
        return codes;
    }

    // Multiplies the current block, whose fragments are in `now`, and decodes the next one into `next`.
    __device__ __forceinline__ void step(Sums& sums, Fragments& now, Fragments& next, int& previous, bool accumulate,
                                         bool more) {
        const int slot = stage.index;
        const u64 x = wgmma_descriptor(smem.x(warpgroup, slot), Swizzle::B128, Shape::COLUMNS);
        stage.advance();
        // All fragments are written before the fence.
        now.pin();
        wgmma_fence();
#pragma unroll
        for (int s = 0; s < Shape::STEPS; s++) {
            Mma::rs(sums, now.step[s], wgmma_advance(x, 32 * s), accumulate || s > 0);
        }
        wgmma_commit();
        Int4ChunkCodes codes;
        if (more) {
            codes = next_codes();
        }
        // The block before this one is done: its slot and its fragments, `next`, are free.
        wgmma_wait<1>();
        next.pin();
        if (previous >= 0) {
            release(previous);
        }
        previous = slot;
        if (more) {
            next.decode(codes, magnitudes);
        }
    }

    // Gives a slot back and, once all warps have, fills it again.
    __device__ __forceinline__ void release(int slot) {
        __syncwarp();
        if (thread % WARP_SIZE == 0) {
            mbarrier_arrive(smem.empty(warpgroup, slot));
        }
        if (loader.has_more()) {
            if (thread == 0) {
                mbarrier_wait(smem.empty(warpgroup, slot), empty_phase);
                loader.load_weights(slot);
                loader.load_x(slot);
            }
            loader.advance();
        }
        empty_phase ^= slot + 1 == Shape::STAGES;
    }
};

template <class Config>
__global__ void __launch_bounds__(NarrowShape<Config>::THREADS, 1)
    sm90_int4_fp8_narrow(const __grid_constant__ TensorMap x_map, const u8* weight, const float* x_scale,
                         const float* row_scale, void* out, int m, int n, int rows, int n_chunks, int k_blocks,
                         float magnitude1, float magnitude2, float magnitude3, float magnitude4, float magnitude5,
                         float magnitude6, float magnitude7, float magnitude8) {
    using Shape = NarrowShape<Config>;
    using Consumer = NarrowConsumer<Config>;
    using Fragment = Packed<float, 4>;
    extern __shared__ __align__(1024) u8 smem_base[];
    const NarrowSmem<Config> smem{smem_base};
    const int rank = Shape::CLUSTER == 1 ? 0 : int(cluster_cta_rank());
    const int cluster = blockIdx.x / Shape::CLUSTER;
    const int clusters = gridDim.x / Shape::CLUSTER;
    const NarrowShare share{int(i64(n_chunks) * cluster / clusters), int(i64(n_chunks) * (cluster + 1) / clusters),
                            k_blocks * rank / Shape::CLUSTER, k_blocks * (rank + 1) / Shape::CLUSTER};
    const int warpgroup = __shfl_sync(0xffffffffu, threadIdx.x / Shape::WARPGROUP_THREADS, 0);
    const int thread = threadIdx.x % Shape::WARPGROUP_THREADS;

    allow_next_kernel();
    if (threadIdx.x < Shape::WARPGROUPS * Shape::STAGES) {
        mbarrier_init(smem.full(0, threadIdx.x), 1);
        mbarrier_init(smem.empty(0, threadIdx.x), 4);
        if (threadIdx.x == 0) {
            mbarrier_init(smem.received(), 2 * Shape::WARPGROUPS);
        }
        mbarrier_init_fence();
    }
    if constexpr (Shape::CLUSTER == 1) {
        __syncthreads();
    } else {
        cluster_sync();
    }

    // A warpgroup beyond the last block has nothing to load and adds zeros.
    const int all_blocks = share.end_block - share.first_block;
    const int blocks = all_blocks / Shape::WARPGROUPS + (warpgroup < all_blocks % Shape::WARPGROUPS);
    Consumer consumer{smem,
                      Int4Magnitudes{{magnitude1, magnitude2, magnitude3, magnitude4, magnitude5, magnitude6, magnitude7,
                                      magnitude8}},
                      warpgroup, thread,
                      NarrowLoader<Config>{smem, &x_map, weight, k_blocks, share, warpgroup,
                                           blocks == 0 ? share.end_chunk : share.first_chunk, share.first_block + warpgroup}};
    consumer.start();
    const int warp = thread / WARP_SIZE;
    const bool finishes = Shape::CLUSTER == 1 || warp / 2 == rank;
    for (int chunk = share.first_chunk; chunk < share.end_chunk; chunk++) {
        const int row = chunk * Int4Chunk::ROWS;
        typename Consumer::Sums sums;
        consumer.multiply(sums, blocks);
        if (chunk > share.first_chunk) {
            __syncthreads();  // the last chunk's shares are read
        }
#pragma unroll
        for (int i = 0; i < Shape::TOKEN_BLOCKS; i++) {
            if (i / Shape::OWN_BLOCKS != warpgroup) {
                *smem.share(i / Shape::OWN_BLOCKS, warpgroup, i % Shape::OWN_BLOCKS, thread) =
                    Fragment{{sums[4 * i], sums[4 * i + 1], sums[4 * i + 2], sums[4 * i + 3]}};
            }
        }
        const RowScales row_scales = RowScales::load(row_scale, row, rows, thread);
        // Opaque, or the compiler would keep what it computes from it in registers all the while.
        int first_token = warpgroup * Shape::OWN_BLOCKS * 8;
        asm volatile("" : "+r"(first_token));
        __syncthreads();
#pragma unroll
        for (int b = 0; b < Shape::OWN_BLOCKS; b++) {
            const int token = first_token + 8 * b;
            const OutputFragment<Config::EPILOGUE, Config::OUT_F32> output(x_scale, out, row + warp * 16, token, m, n,
                                                                           thread % WARP_SIZE);
            float total[4];
            // An index that is known when compiled keeps the sums in registers.
#pragma unroll
            for (int w = 0; w < Shape::WARPGROUPS; w++) {
                if (w == warpgroup) {
#pragma unroll
                    for (int e = 0; e < 4; e++) {
                        total[e] = sums[4 * (w * Shape::OWN_BLOCKS + b) + e];
                    }
                }
            }
#pragma unroll
            for (int from = 0; from < Shape::WARPGROUPS - 1; from++) {
                const Fragment part = *smem.share(warpgroup, from + (from >= warpgroup), b, thread);
#pragma unroll
                for (int e = 0; e < 4; e++) {
                    total[e] += part.at[e];
                }
            }
            if constexpr (Shape::CLUSTER == 2) {
                if (!finishes) {
                    *cluster_peer(smem.other(warpgroup, b, thread), rank ^ 1) =
                        Fragment{{total[0], total[1], total[2], total[3]}};
                    continue;
                }
                mbarrier_wait_cluster(smem.received(), 0);
                const Fragment part = *smem.other(warpgroup, b, thread);
#pragma unroll
                for (int e = 0; e < 4; e++) {
                    total[e] += part.at[e];
                }
            }
            output.store(total, row_scales);
        }
        if (Shape::CLUSTER == 2 && !finishes) {
            __syncwarp();
            if (thread % WARP_SIZE == 0) {
                mbarrier_arrive_remote(smem.received(), rank ^ 1);
            }
        }
    }
}

}  // namespace fireq
