/*
 * sm90_int4_fp8_narrow
 *
 * Computes   what sm90_int4_fp8_gemm does, for at most TILE_M tokens: so few that the time is that of reading the weight
 * Operands   name         dtype         shape                     layout / alignment                 lives in
 *            x            e4m3          [m, k]                    row-major, rows of 16 B, TMA       activations
 *            x_scale      f32           [m]                       contiguous                         activations
 *            weight       int4          [rows, k]                 Int4Fp8WeightLayout                weights
 *            row_scale    f32           [rows]                    packed row order                   weights
 *            magnitudes   f32           8 parameters              quant/int4.cuh                     host
 *            out          bf16 | f32    [m, n]                    row-major                          activations
 * Numerics   as sm90_int4_fp8_gemm, with or without PROMOTE, within a warpgroup's share of k; float32 between the shares,
 *            which are added in order, so that results are bitwise equal from run to run
 * Work       clusters take equal runs of strips (16 packed rows), GROUPS groups of four at a time: a pass. The blocks of
 *            128 columns are dealt out to the CTAs of the cluster, then to their WARPGROUPS; a warp decodes one strip of a
 *            group, and its warpgroup multiplies all four by the block's x. The sums of a pass meet in shared memory, and
 *            each warp finishes fragments of 16 rows and 8 tokens; in a cluster of two each CTA finishes every other one
 * Pipeline   one more warp for each warpgroup feeds it, through a ring for weights, filled before the kernel ahead has
 *            ended, and one for x
 *            barrier          initialised to   who arrives                     who waits        tx bytes
 *            full[w][slot]    1                producer w                      warpgroup w      the strips of a group
 *            empty[w][slot]   4                each warp of w, once it has     producer w       -
 *                                              its codes in registers
 *            x_full[w][slot]  1                producer w                      warpgroup w      x
 *            x_empty[w][slot] 4                each warp of w                  producer w       -
 *            received         WARPS / 2        warps of the other CTA          all              -
 * Smem map   0            x: WARPGROUPS * X_STAGES * TILE_M * 128, swizzled 128 B; then weights: WARPGROUPS * STAGES
 *                         chunks. Once a pass is multiplied, its sums lie there: WARPGROUPS * fragments of 512 bytes
 *            + received   CLUSTER 2: half the fragments, of the other CTA
 *            + barriers   8 * (2 * WARPGROUPS * (STAGES + X_STAGES) + 1)
 * Barriers   0 (__syncthreads) for the setup, 1: the rings are free for another pass, 2: between consumers
 * Requires   m <= TILE_M; k a multiple of 16 and x aligned to 16 (tensor map); with one group there is one pass (launcher)
 * Not for    e4m3 weights: sm90_e4m3_skinny
 * Launcher   io.fireq.kernels.gemm.NarrowGemm      Oracle  io.fireq.kernels.gemm.LinearOracle
 * Notes      docs/performance/0004-gemm.md
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
    static constexpr int GROUPS = Config::GROUPS;
    static constexpr int STAGES = Config::STAGES;
    static constexpr int X_STAGES = Config::X_STAGES;
    static constexpr int CLUSTER = Config::CLUSTER;
    static constexpr int STRIPS = Int4Chunk::STRIPS;  // of a group: one for each warp
    static constexpr int WARPGROUP_THREADS = STRIPS * WARP_SIZE;
    static constexpr int CONSUMERS = WARPGROUPS * WARPGROUP_THREADS;
    static constexpr int WARPS = WARPGROUPS * STRIPS;  // that multiply
    static constexpr int THREADS = CONSUMERS + WARPGROUPS * WARP_SIZE;

    using Mma = WgmmaF32<TILE_M>;
    using Fragments = Int4ChunkFragments<Config::SIGN_MAGNITUDE>;
    static constexpr int TOKEN_BLOCKS = TILE_M / 8;
    static constexpr int PASS_STRIPS = GROUPS * STRIPS;
    static constexpr bool ONE_PASS = GROUPS == 1;
    static constexpr int FRAGMENTS = PASS_STRIPS * TOKEN_BLOCKS;
    static constexpr int FINISHED = (FRAGMENTS + WARPS - 1) / WARPS;  // by a warp, at most

    static constexpr int X_BYTES = TILE_M * Int4Chunk::COLUMNS;
    static constexpr int FRAGMENT_BYTES = WARP_SIZE * 16;
    static constexpr int WEIGHT_AT = WARPGROUPS * X_STAGES * X_BYTES;
    static constexpr int RING_BYTES = WEIGHT_AT + WARPGROUPS * STAGES * Int4Chunk::BYTES;
    static constexpr int SUM_BYTES = WARPGROUPS * FRAGMENTS * FRAGMENT_BYTES;
    static constexpr int RECEIVED_AT = RING_BYTES > SUM_BYTES ? RING_BYTES : SUM_BYTES;
    static constexpr int BARRIER_AT = RECEIVED_AT + (CLUSTER == 1 ? 0 : FRAGMENTS / 2 * FRAGMENT_BYTES);
    static constexpr int SMEM_BYTES = BARRIER_AT + 8 * (2 * WARPGROUPS * (STAGES + X_STAGES) + 1);

    static_assert(GROUPS == 1 || GROUPS == 2 || GROUPS == 4, "fragments alternate between two buffers");
    // A warpgroup takes codes two groups ahead, and its producer loads the x of a block before its weights.
    static_assert(X_STAGES >= (GROUPS == 1 ? 3 : 2), "x of the block that is multiplied and of all whose codes are taken");
    static_assert(STAGES >= 3, "one slot is loaded while the codes of two groups are taken");
    static_assert(CLUSTER == 1 || CLUSTER == 2 && ONE_PASS, "the CTAs of a cluster finish half the fragments each");
    static_assert(!Config::OUT_F32 || Config::EPILOGUE == STORE, "float32 is stored as it is");
    static_assert(SMEM_BYTES == Config::SMEM_BYTES, "the launcher asks for the shared memory that the kernel lays out");
};

template <class Config>
struct NarrowSmem {
    using Shape = NarrowShape<Config>;
    using Fragment = Packed<float, 4>;
    u8* base;

    __device__ __forceinline__ u8* x(int warpgroup, int slot) const {
        return base + (warpgroup * Shape::X_STAGES + slot) * Shape::X_BYTES;
    }
    __device__ __forceinline__ u8* weight(int warpgroup, int slot) const {
        return base + Shape::WEIGHT_AT + (warpgroup * Shape::STAGES + slot) * Int4Chunk::BYTES;
    }
    __device__ __forceinline__ u64* full(int warpgroup, int slot) const {
        return reinterpret_cast<u64*>(base + Shape::BARRIER_AT) + warpgroup * Shape::STAGES + slot;
    }
    __device__ __forceinline__ u64* empty(int warpgroup, int slot) const {
        return full(Shape::WARPGROUPS + warpgroup, slot);
    }
    __device__ __forceinline__ u64* x_full(int warpgroup, int slot) const {
        return full(2 * Shape::WARPGROUPS, 0) + warpgroup * Shape::X_STAGES + slot;
    }
    __device__ __forceinline__ u64* x_empty(int warpgroup, int slot) const {
        return x_full(Shape::WARPGROUPS + warpgroup, slot);
    }
    __device__ __forceinline__ u64* received() const { return x_full(2 * Shape::WARPGROUPS, 0); }
    // The share of `warpgroup` in a fragment.
    __device__ __forceinline__ Fragment* sum(int warpgroup, int fragment, int lane) const {
        return reinterpret_cast<Fragment*>(base) + (warpgroup * Shape::FRAGMENTS + fragment) * WARP_SIZE + lane;
    }
    // The share of the other CTA.
    __device__ __forceinline__ Fragment* other(int fragment, int lane) const {
        return reinterpret_cast<Fragment*>(base + Shape::RECEIVED_AT) + fragment / 2 * WARP_SIZE + lane;
    }
};

// Strips and blocks that one pass of a CTA covers.
struct NarrowPass {
    int first_strip;
    int strips;
    int first_block;
    int end_block;
};

// The warp that feeds a warpgroup. All its lanes count, lane 0 copies.
template <class Config>
class NarrowProducer {
    using Shape = NarrowShape<Config>;

  public:
    __device__ __forceinline__ NarrowProducer(const NarrowSmem<Config>& smem_, const TensorMap* x_map_, const u8* weight_,
                                              int k_blocks_, int warpgroup_, bool copies_)
        : smem(smem_), x_map(x_map_), weight(weight_), k_blocks(k_blocks_), warpgroup(warpgroup_), copies(copies_) {}

    // Loads the blocks of a pass. x depends on the kernel ahead; of the first pass, weights that fit the ring are loaded
    // before that has ended.
    __device__ __forceinline__ void load(const NarrowPass& pass, bool is_first) {
        Piece pieces[Shape::GROUPS][2];
#pragma unroll
        for (int g = 0; g < Shape::GROUPS; g++) {
            cut(pieces[g], pass.first_strip + g * Shape::STRIPS, min(Shape::STRIPS, pass.strips - g * Shape::STRIPS));
        }
        int x_block = pass.first_block + warpgroup;
        bool waits = is_first;
        int loaded = 0;
        for (int block = x_block; block < pass.end_block; block += Shape::WARPGROUPS) {
#pragma unroll
            for (int g = 0; g < Shape::GROUPS; g++) {
                if (g * Shape::STRIPS < pass.strips) {
                    if (waits && loaded == Shape::STAGES) {
                        wait_for_previous_kernel();
                        waits = false;
                    }
                    for (; !waits && x_block <= block; x_block += Shape::WARPGROUPS) {
                        load_x(x_block);
                    }
                    load_group(pieces[g], block);
                    loaded++;
                }
            }
        }
        if (waits) {
            wait_for_previous_kernel();
        }
        for (; x_block < pass.end_block; x_block += Shape::WARPGROUPS) {
            load_x(x_block);
        }
    }

  private:
    // Strips of a group that lie one after the other in every block: where in block 0, and how many bytes.
    struct Piece {
        const u8* at;
        int bytes;
    };

    NarrowSmem<Config> smem;
    const TensorMap* x_map;
    const u8* weight;
    int k_blocks;
    int warpgroup;
    bool copies;
    Stage<Shape::STAGES> stage = Stage<Shape::STAGES>::producer();
    Stage<Shape::X_STAGES> x_stage = Stage<Shape::X_STAGES>::producer();

    // A group touches two chunks at most.
    __device__ __forceinline__ void cut(Piece (&pieces)[2], int strip, int strips) const {
        const int within = min(strips, Int4Chunk::STRIPS - strip % Int4Chunk::STRIPS);
        const u8* chunk = weight + i64(strip / Int4Chunk::STRIPS) * k_blocks * Int4Chunk::BYTES;
        pieces[0] = Piece{chunk + strip % Int4Chunk::STRIPS * Int4Chunk::STRIP_BYTES, within * Int4Chunk::STRIP_BYTES};
        pieces[1] = Piece{chunk + i64(k_blocks) * Int4Chunk::BYTES, (strips - within) * Int4Chunk::STRIP_BYTES};
    }

    __device__ __forceinline__ void load_group(const Piece (&pieces)[2], int block) {
        mbarrier_wait(smem.empty(warpgroup, stage.index), stage.phase);
        if (copies) {
            u64* full = smem.full(warpgroup, stage.index);
            u8* to = smem.weight(warpgroup, stage.index);
            const i64 offset = i64(block) * Int4Chunk::BYTES;
            mbarrier_arrive_expect_bytes(full, pieces[0].bytes + pieces[1].bytes);
            bulk_load(to, pieces[0].at + offset, pieces[0].bytes, full, CacheHint::EVICT_FIRST);
            if (pieces[1].bytes > 0) {
                bulk_load(to + pieces[0].bytes, pieces[1].at + offset, pieces[1].bytes, full, CacheHint::EVICT_FIRST);
            }
        }
        stage.advance();
    }

    __device__ __forceinline__ void load_x(int block) {
        mbarrier_wait(smem.x_empty(warpgroup, x_stage.index), x_stage.phase);
        if (copies) {
            u64* full = smem.x_full(warpgroup, x_stage.index);
            mbarrier_arrive_expect_bytes(full, Shape::X_BYTES);
            tma_load_2d(smem.x(warpgroup, x_stage.index), x_map, full, block * Int4Chunk::COLUMNS, 0,
                        CacheHint::EVICT_LAST);
        }
        x_stage.advance();
    }
};

// What a warpgroup multiplies.
template <class Config>
class NarrowConsumer {
    using Shape = NarrowShape<Config>;
    using Mma = typename Shape::Mma;
    using Fragments = typename Shape::Fragments;

  public:
    using Sums = float[Shape::GROUPS][Mma::REGISTERS];

    __device__ __forceinline__ NarrowConsumer(const NarrowSmem<Config>& smem_, const Int4Magnitudes& magnitudes_,
                                              int warpgroup_, int warp, int lane_)
        : smem(smem_), magnitudes(magnitudes_), warpgroup(warpgroup_), lane(lane_),
          position((warp + warpgroup) % Shape::STRIPS) {
        strip = smem.weight(warpgroup, 0) + position * Int4Chunk::STRIP_BYTES;
    }

    // The sums over `blocks` blocks of a pass of `strips` strips.
    __device__ __forceinline__ void multiply(Sums& sums, int blocks, int strips) {
        left = blocks * ((strips + Shape::STRIPS - 1) / Shape::STRIPS);
#pragma unroll
        for (int g = 0; g < Shape::GROUPS; g++) {
#pragma unroll
            for (int i = 0; i < Mma::REGISTERS; i++) {
                sums[g][i] = 0.0f;
            }
        }
        // Two fragment buffers: one is multiplied while the next group is decoded.
        Fragments even;
        Fragments odd;
        Int4ChunkCodes codes;
        take(codes);
        decode<0>(even, codes, strips);
        take(codes);
        // Rather than asking for x again and again while another kernel wants to compute.
        wait_for_previous_kernel();
        for (int block = 0; block < blocks; block++) {
            step<0>(sums, even, odd, codes, strips);
            if constexpr (Shape::GROUPS == 1) {
                if (++block < blocks) {
                    step<0>(sums, odd, even, codes, strips);
                }
            } else {
                step<1>(sums, odd, even, codes, strips);
                if constexpr (Shape::GROUPS == 4) {
                    step<2>(sums, even, odd, codes, strips);
                    step<3>(sums, odd, even, codes, strips);
                }
            }
        }
    }

    // Leaves the sums of this warp's strips where all find them.
    __device__ __forceinline__ void put(const Sums& sums, int strips) const {
#pragma unroll
        for (int g = 0; g < Shape::GROUPS; g++) {
            const int s = g * Shape::STRIPS + position;
            if (s < strips) {
#pragma unroll
                for (int t = 0; t < Shape::TOKEN_BLOCKS; t++) {
                    const float* sum = sums[g] + 4 * t;
                    *smem.sum(warpgroup, s * Shape::TOKEN_BLOCKS + t, lane) =
                        Packed<float, 4>{{sum[0], sum[1], sum[2], sum[3]}};
                }
            }
        }
    }

  private:
    NarrowSmem<Config> smem;
    Int4Magnitudes magnitudes;
    int warpgroup;
    int lane;
    // Which strip of a group this warp decodes: another one in each warpgroup, so that where a group has fewer than four
    // they are shared among the SM's quarters.
    int position;
    const u8* strip;  // in slot 0
    Stage<Shape::STAGES> stage = Stage<Shape::STAGES>::consumer();
    Stage<Shape::X_STAGES> x_stage = Stage<Shape::X_STAGES>::consumer();
    int left = 0;  // groups not taken yet

    // Waits for the next group, if there is one, brings this warp's strip into registers and gives the slot back.
    __device__ __forceinline__ void take(Int4ChunkCodes& codes) {
        if (left > 0) {
            mbarrier_wait(smem.full(warpgroup, stage.index), stage.phase);
            codes.load(strip + stage.index * Int4Chunk::BYTES, lane);
            __syncwarp();
            if (lane == 0) {
                mbarrier_arrive(smem.empty(warpgroup, stage.index));
            }
            stage.advance();
            left--;
        }
    }

    template <int GROUP>
    __device__ __forceinline__ void decode(Fragments& fragments, const Int4ChunkCodes& codes, int strips) const {
        if (GROUP * Shape::STRIPS + position < strips) {
            fragments.decode(codes, magnitudes);
        }
    }

    // Multiplies group G of a block, whose fragments are in `now`; meanwhile decodes what comes next, whose codes are
    // given, into `next`, and takes the codes behind that. Groups that the pass does not have are multiplied too, whatever
    // their fragments hold: it costs next to nothing, and nobody reads the result.
    template <int G>
    __device__ __forceinline__ void step(Sums& sums, Fragments& now, Fragments& next, Int4ChunkCodes& codes, int strips) {
        constexpr int NEXT = (G + 1) % Shape::GROUPS;
        if (G == 0) {
            mbarrier_wait(smem.x_full(warpgroup, x_stage.index), x_stage.phase);
        }
        const u64 x = wgmma_descriptor(smem.x(warpgroup, x_stage.index), Swizzle::B128, Int4Chunk::COLUMNS);
        float products[Mma::REGISTERS];
        if constexpr (Config::PROMOTE) {
            wgmma_discard(products);
        }
        // All fragments are written before the fence.
        now.pin();
        wgmma_fence();
#pragma unroll
        for (int s = 0; s < Int4Chunk::STEPS; s++) {
            if constexpr (Config::PROMOTE) {
                Mma::rs(products, now.step[s], wgmma_advance(x, 32 * s), s > 0);
            } else {
                Mma::rs(sums[G], now.step[s], wgmma_advance(x, 32 * s), true);
            }
        }
        wgmma_commit();
        if (NEXT * Shape::STRIPS < strips) {
            decode<NEXT>(next, codes, strips);
            // Here, in the shadow of the products, and not behind the wait.
            next.pin();
            take(codes);
        }
        wgmma_wait<0>();
        now.pin();
        if constexpr (Config::PROMOTE) {
            wgmma_pin(products);
#pragma unroll
            for (int i = 0; i < Mma::REGISTERS; i++) {
                sums[G][i] += products[i];
            }
        } else {
            wgmma_pin(sums[G]);
        }
        if (NEXT == 0) {
            __syncwarp();
            if (lane == 0) {
                mbarrier_arrive(smem.x_empty(warpgroup, x_stage.index));
            }
            x_stage.advance();
        }
    }
};

// Adds the warpgroups' shares of a fragment.
template <class Config>
__device__ __forceinline__ void add_shares(float (&total)[4], const NarrowSmem<Config>& smem, int fragment, int lane) {
#pragma unroll
    for (int w = 0; w < NarrowShape<Config>::WARPGROUPS; w++) {
        const Packed<float, 4> part = *smem.sum(w, fragment, lane);
#pragma unroll
        for (int e = 0; e < 4; e++) {
            total[e] = w == 0 ? part.at[e] : total[e] + part.at[e];
        }
    }
}

template <class Config>
__global__ void __launch_bounds__(NarrowShape<Config>::THREADS, 1)
    sm90_int4_fp8_narrow(const __grid_constant__ TensorMap x_map, const u8* weight, const float* x_scale,
                         const float* row_scale, void* out, int m, int n, int rows, int n_strips, int k_blocks,
                         float magnitude1, float magnitude2, float magnitude3, float magnitude4, float magnitude5,
                         float magnitude6, float magnitude7, float magnitude8) {
    using Shape = NarrowShape<Config>;
    using Output = OutputFragment<Config::EPILOGUE, Config::OUT_F32>;
    extern __shared__ __align__(1024) u8 smem_base[];
    const NarrowSmem<Config> smem{smem_base};
    const int rank = Shape::CLUSTER == 1 ? 0 : int(cluster_cta_rank());
    const int cluster = blockIdx.x / Shape::CLUSTER;
    const int clusters = gridDim.x / Shape::CLUSTER;
    const int longer = n_strips % clusters;  // clusters that take one strip more than the others
    const int first_strip = n_strips / clusters * cluster + min(cluster, longer);
    const int end_strip = first_strip + n_strips / clusters + (cluster < longer);
    NarrowPass pass{first_strip, min(Shape::PASS_STRIPS, end_strip - first_strip), k_blocks * rank / Shape::CLUSTER,
                    k_blocks * (rank + 1) / Shape::CLUSTER};
    // Uniform in the eyes of the compiler.
    const int warp = __shfl_sync(0xffffffffu, threadIdx.x / WARP_SIZE, 0);
    const int lane = threadIdx.x % WARP_SIZE;

    allow_next_kernel();
    constexpr int SLOTS = Shape::WARPGROUPS * Shape::STAGES;
    constexpr int X_SLOTS = Shape::WARPGROUPS * Shape::X_STAGES;
    if (threadIdx.x < 2 * (SLOTS + X_SLOTS)) {
        const int i = threadIdx.x;
        const bool is_full = i < SLOTS || (i >= 2 * SLOTS && i < 2 * SLOTS + X_SLOTS);
        mbarrier_init(smem.full(0, i), is_full ? 1 : Shape::STRIPS);
        if (i == 0) {
            mbarrier_init(smem.received(), Shape::WARPS / 2);
        }
        mbarrier_init_fence();
    }
    if constexpr (Shape::CLUSTER == 1) {
        __syncthreads();
    } else {
        cluster_sync();
    }

    if (warp >= Shape::WARPS) {
        NarrowProducer<Config> producer(smem, &x_map, weight, k_blocks, warp - Shape::WARPS, lane == 0);
        for (;;) {
            producer.load(pass, pass.first_strip == first_strip);
            pass.first_strip += Shape::PASS_STRIPS;
            if (Shape::ONE_PASS || pass.first_strip >= end_strip) {
                return;
            }
            pass.strips = min(Shape::PASS_STRIPS, end_strip - pass.first_strip);
            named_barrier_sync(1, Shape::THREADS);
        }
    }

    const int warpgroup = warp / Shape::STRIPS;
    NarrowConsumer<Config> consumer(smem,
                                    Int4Magnitudes{{magnitude1, magnitude2, magnitude3, magnitude4, magnitude5, magnitude6,
                                                    magnitude7, magnitude8}},
                                    warpgroup, warp % Shape::STRIPS, lane);
    // A warpgroup beyond the last block adds zeros.
    const int all_blocks = pass.end_block - pass.first_block;
    const int blocks = all_blocks / Shape::WARPGROUPS + (warpgroup < all_blocks % Shape::WARPGROUPS);
    for (;;) {
        typename NarrowConsumer<Config>::Sums sums;
        consumer.multiply(sums, blocks, pass.strips);
        named_barrier_sync(2, Shape::CONSUMERS);  // nobody reads the rings any more
        consumer.put(sums, pass.strips);
        // What the first fragment needs, underway while warps meet.
        const auto row_of = [&](int fragment) {
            return (pass.first_strip + fragment / Shape::TOKEN_BLOCKS) * Int4Chunk::STRIP_ROWS;
        };
        const auto output_of = [&](int fragment) {
            return Output(x_scale, out, row_of(fragment), fragment % Shape::TOKEN_BLOCKS * 8, m, n, lane);
        };
        const Output first_output = output_of(warp);
        const RowScales first_scales = RowScales::load(row_scale, row_of(warp), rows, lane);
        named_barrier_sync(2, Shape::CONSUMERS);
        const int fragments = pass.strips * Shape::TOKEN_BLOCKS;
        if (Shape::CLUSTER == 1 || warp % 2 == rank) {
#pragma unroll
            for (int i = 0; i < Shape::FINISHED; i++) {
                const int fragment = warp + i * Shape::WARPS;
                if (fragment < fragments) {
                    float total[4];
                    add_shares<Config>(total, smem, fragment, lane);
                    if constexpr (Shape::CLUSTER == 2) {
                        mbarrier_wait_cluster(smem.received(), 0);
                        const Packed<float, 4> other = *smem.other(fragment, lane);
#pragma unroll
                        for (int e = 0; e < 4; e++) {
                            total[e] += other.at[e];
                        }
                    }
                    if (i == 0) {
                        first_output.store(total, first_scales);
                    } else {
                        output_of(fragment).store(total, RowScales::load(row_scale, row_of(fragment), rows, lane));
                    }
                }
            }
        } else {
            for (int fragment = warp; fragment < fragments; fragment += Shape::WARPS) {
                float total[4];
                add_shares<Config>(total, smem, fragment, lane);
                *cluster_peer(smem.other(fragment, lane), rank ^ 1) =
                    Packed<float, 4>{{total[0], total[1], total[2], total[3]}};
            }
            __syncwarp();
            if (lane == 0) {
                mbarrier_arrive_remote(smem.received(), rank ^ 1);
            }
        }
        if constexpr (Shape::CLUSTER == 2) {
            // A CTA lives until nobody writes to it any more.
            mbarrier_wait_cluster(smem.received(), 0);
        }
        if constexpr (Shape::ONE_PASS) {
            return;
        }
        pass.first_strip += Shape::PASS_STRIPS;
        if (pass.first_strip >= end_strip) {
            return;
        }
        pass.strips = min(Shape::PASS_STRIPS, end_strip - pass.first_strip);
        fence_async_proxy();
        named_barrier_sync(1, Shape::THREADS);
    }
}

}  // namespace fireq
