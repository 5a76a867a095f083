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
 * Work       clusters take equal runs of strips (16 packed rows), as many at a time as their warpgroups have registers for: a
 *            pass. ABREAST warpgroups go side by side, with GROUPS groups of four strips each, through the same columns;
 *            there are K_SHARES such rows of warpgroups in a CTA, and the blocks of 128 columns are dealt out to the CTAs of
 *            the cluster, then to the shares. A warp decodes one strip of a group, and its warpgroup multiplies all four by
 *            the block's x. The sums of a pass meet in shared memory, and each warp finishes fragments of 16 rows and 8
 *            tokens; in a cluster of two each CTA finishes every other one
 * Pipeline   one more warp for each warpgroup feeds it, through a ring for weights, filled before the kernel ahead has
 *            ended; the first of those abreast also feeds their ring for x. Slots follow from the step, so that they are
 *            constants where the loop over ROUND steps is unrolled: with indices, a step had a quarter more instructions
 *            barrier          initialised to   who arrives                     who waits        tx bytes
 *            full[w][slot]    1                producer w                      warpgroup w      the strips of a group
 *            empty[w][slot]   4                each warp of w, once it has     producer w       -
 *                                              its codes in registers
 *            x_full[s][slot]  1                first producer of share s       warps of s       x
 *            x_empty[s][slot] 4 * ABREAST      each warp of s                  that producer    -
 *            received         WARPS / 2        warps of the other CTA          all              -
 * Smem map   0            x: K_SHARES * X_STAGES * TILE_M * 128, swizzled 128 B; then weights: WARPGROUPS * STAGES chunks.
 *                         Once a pass is multiplied, its sums lie there: K_SHARES * fragments of 512 bytes
 *            + received   CLUSTER 2: half the fragments, of the other CTA
 *            + scales     4 * (TILE_M + rows of a pass)
 *            + barriers   8 * (2 * (WARPGROUPS * STAGES + K_SHARES * X_STAGES) + 1)
 * Barriers   0 (__syncthreads) for the setup, 1: the rings are free for another pass, 2: between consumers
 * Requires   m <= TILE_M; k a multiple of 16 and x aligned to 16 (tensor map); where a pass is one group there is one (launcher)
 * Not for    e4m3 weights: sm90_e4m3_skinny
 * Launcher   io.fireq.kernels.gemm.NarrowGemm      Oracle  io.fireq.kernels.gemm.LinearOracle
 * Notes      docs/performance/0004-gemm.md
 */
#pragma once

#include "fireq/common/math.cuh"
#include "fireq/gemm/int4_weight_chunk.cuh"
#include "fireq/gemm/store_output.cuh"
#include "fireq/pipeline/slot_phases.cuh"
#include "fireq/ptx/cluster.cuh"
#include "fireq/ptx/griddep.cuh"
#include "fireq/ptx/tma.cuh"
#include "fireq/ptx/wgmma.cuh"

namespace fireq {

template <class Config>
struct NarrowShape {
    static constexpr int TILE_M = Config::TILE_M;
    static constexpr int WARPGROUPS = Config::WARPGROUPS;
    static constexpr int ABREAST = Config::ABREAST;
    static constexpr int K_SHARES = WARPGROUPS / ABREAST;
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
    static constexpr int SIDE_STRIPS = GROUPS * STRIPS;  // of a warpgroup
    static constexpr int PASS_STRIPS = ABREAST * SIDE_STRIPS;
    static constexpr bool ONE_PASS = GROUPS * ABREAST == 1;
    static constexpr int FRAGMENTS = PASS_STRIPS * TOKEN_BLOCKS;
    static constexpr int FINISHED = (FRAGMENTS + WARPS - 1) / WARPS;  // by a warp, at most

    static constexpr int ROUND = X_STAGES * GROUPS;  // steps after which the slots come again

    static constexpr int X_BYTES = TILE_M * Int4Chunk::COLUMNS;
    static constexpr int FRAGMENT_BYTES = WARP_SIZE * 16;
    static constexpr int WEIGHT_AT = K_SHARES * X_STAGES * X_BYTES;
    static constexpr int RING_BYTES = WEIGHT_AT + WARPGROUPS * STAGES * Int4Chunk::BYTES;
    static constexpr int SUM_BYTES = K_SHARES * FRAGMENTS * FRAGMENT_BYTES;
    static constexpr int RECEIVED_AT = RING_BYTES > SUM_BYTES ? RING_BYTES : SUM_BYTES;
    static constexpr int SCALES_AT = RECEIVED_AT + (CLUSTER == 1 ? 0 : FRAGMENTS / 2 * FRAGMENT_BYTES);
    static constexpr int PASS_ROWS = PASS_STRIPS * Int4Chunk::STRIP_ROWS;
    static constexpr int BARRIER_AT = SCALES_AT + 4 * (TILE_M + PASS_ROWS);
    static constexpr int SMEM_BYTES = BARRIER_AT + 8 * (2 * (WARPGROUPS * STAGES + K_SHARES * X_STAGES) + 1);

    static_assert(GROUPS == 1 || GROUPS == 2 || GROUPS == 4, "fragments alternate between two buffers");
    // A warpgroup takes codes two groups ahead, and its producer loads the x of a block before its weights.
    static_assert(X_STAGES >= (GROUPS == 1 ? 3 : 2), "x of the block that is multiplied and of all whose codes are taken");
    static_assert(STAGES >= 3, "one slot is loaded while the codes of two groups are taken");
    static_assert(TILE_M + PASS_ROWS <= CONSUMERS, "a thread fetches one scale");
    static_assert(ROUND % STAGES == 0 && ROUND % 2 == 0, "slots and fragments are those of the step");
    static_assert(CLUSTER == 1 || CLUSTER == 2 && ONE_PASS, "the CTAs of a cluster finish half the fragments each");
    static_assert(!Config::OUT_F32 || Config::EPILOGUE == STORE, "float32 is stored as it is");
    static_assert(SMEM_BYTES == Config::SMEM_BYTES, "the launcher asks for the shared memory that the kernel lays out");
};

template <class Config>
struct NarrowSmem {
    using Shape = NarrowShape<Config>;
    using Fragment = Packed<float, 4>;
    u8* base;

    __device__ __forceinline__ u8* x(int share, int slot) const {
        return base + (share * Shape::X_STAGES + slot) * Shape::X_BYTES;
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
    __device__ __forceinline__ u64* x_full(int share, int slot) const {
        return full(2 * Shape::WARPGROUPS, 0) + share * Shape::X_STAGES + slot;
    }
    __device__ __forceinline__ u64* x_empty(int share, int slot) const { return x_full(Shape::K_SHARES + share, slot); }
    __device__ __forceinline__ u64* received() const { return x_full(2 * Shape::K_SHARES, 0); }
    // What a share of k adds to a fragment.
    __device__ __forceinline__ Fragment* sum(int share, int fragment, int lane) const {
        return reinterpret_cast<Fragment*>(base) + (share * Shape::FRAGMENTS + fragment) * WARP_SIZE + lane;
    }
    // Scales of all tokens, and of the rows of a pass.
    __device__ __forceinline__ float* x_scale() const { return reinterpret_cast<float*>(base + Shape::SCALES_AT); }
    __device__ __forceinline__ float* row_scale() const { return x_scale() + Shape::TILE_M; }
    // The share of the other CTA.
    __device__ __forceinline__ Fragment* other(int fragment, int lane) const {
        return reinterpret_cast<Fragment*>(base + Shape::RECEIVED_AT) + fragment / 2 * WARP_SIZE + lane;
    }
};

// Strips and blocks that one pass of a CTA covers. Shares of k take turns at the blocks.
template <class Config>
struct NarrowPass {
    static constexpr int SHARES = NarrowShape<Config>::K_SHARES;

    int first_strip;
    int strips;
    int first_block;
    int end_block;

    __device__ __forceinline__ int blocks_of(int share) const {
        return (end_block - first_block + SHARES - 1 - share) / SHARES;
    }
    // The n-th block of a share.
    __device__ __forceinline__ int block(int share, int n) const { return first_block + share + n * SHARES; }
};

// The warp that feeds a warpgroup. All its lanes count, lane 0 copies.
template <class Config>
class NarrowProducer {
    using Shape = NarrowShape<Config>;

  public:
    __device__ __forceinline__ NarrowProducer(const NarrowSmem<Config>& smem_, const TensorMap* x_map_, const u8* weight_,
                                              int k_blocks_, int warpgroup_, bool copies_)
        : smem(smem_), x_map(x_map_), weight(weight_), k_blocks(k_blocks_), warpgroup(warpgroup_),
          share(warpgroup_ / Shape::ABREAST), side(warpgroup_ % Shape::ABREAST), copies(copies_) {}

    // Loads the blocks of a pass. x depends on the kernel ahead; of the first pass, weights that fit the ring are loaded
    // before that has ended.
    __device__ __forceinline__ void load(const NarrowPass<Config>& pass, bool is_first) {
        Piece pieces[Shape::GROUPS][2];
#pragma unroll
        for (int g = 0; g < Shape::GROUPS; g++) {
            const int at = side * Shape::SIDE_STRIPS + g * Shape::STRIPS;
            cut(pieces[g], pass.first_strip + at, max(0, min(Shape::STRIPS, pass.strips - at)));
        }
        const int blocks = pass.blocks_of(share);
        int x_loaded = 0;
        bool waits = is_first;
        for (int block = 0; block < blocks; block++) {
#pragma unroll
            for (int g = 0; g < Shape::GROUPS; g++) {
                const int group = block * Shape::GROUPS + g;
                if (waits && group == Shape::STAGES) {
                    wait_for_previous_kernel();
                    waits = false;
                }
                for (; !waits && x_loaded <= block; x_loaded++) {
                    load_x(pass, x_loaded);
                }
                load_group(pieces[g], pass.block(share, block), group % Shape::STAGES);
            }
        }
        if (waits) {
            wait_for_previous_kernel();
        }
        for (; x_loaded < blocks; x_loaded++) {
            load_x(pass, x_loaded);
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
    int share;
    int side;
    bool copies;
    SlotPhases phases = SlotPhases::producer();
    SlotPhases x_phases = SlotPhases::producer();

    // A group touches two chunks at most, and none if the pass does not have it.
    __device__ __forceinline__ void cut(Piece (&pieces)[2], int strip, int strips) const {
        const int within = min(strips, Int4Chunk::STRIPS - strip % Int4Chunk::STRIPS);
        const u8* chunk = weight + i64(strip / Int4Chunk::STRIPS) * k_blocks * Int4Chunk::BYTES;
        pieces[0] = Piece{chunk + strip % Int4Chunk::STRIPS * Int4Chunk::STRIP_BYTES, within * Int4Chunk::STRIP_BYTES};
        pieces[1] = Piece{chunk + i64(k_blocks) * Int4Chunk::BYTES, (strips - within) * Int4Chunk::STRIP_BYTES};
    }

    __device__ __forceinline__ void load_group(const Piece (&pieces)[2], int block, int slot) {
        mbarrier_wait(smem.empty(warpgroup, slot), phases.next(slot));
        if (copies) {
            u64* full = smem.full(warpgroup, slot);
            u8* to = smem.weight(warpgroup, slot);
            mbarrier_arrive_expect_bytes(full, pieces[0].bytes + pieces[1].bytes);
#pragma unroll
            for (const Piece& piece : pieces) {
                if (piece.bytes > 0) {
                    bulk_load(to, piece.at + i64(block) * Int4Chunk::BYTES, piece.bytes, full, CacheHint::EVICT_FIRST);
                    to += piece.bytes;
                }
            }
        }
    }

    // For all warpgroups abreast, by the first's producer.
    __device__ __forceinline__ void load_x(const NarrowPass<Config>& pass, int block) {
        if (side == 0) {
            const int slot = block % Shape::X_STAGES;
            mbarrier_wait(smem.x_empty(share, slot), x_phases.next(slot));
            if (copies) {
                u64* full = smem.x_full(share, slot);
                mbarrier_arrive_expect_bytes(full, Shape::X_BYTES);
                tma_load_2d(smem.x(share, slot), x_map, full, pass.block(share, block) * Int4Chunk::COLUMNS, 0,
                            CacheHint::EVICT_LAST);
            }
        }
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
        full = smem.full(warpgroup, 0);
        x_full = smem.x_full(share(), 0);
        x = wgmma_descriptor(smem.x(share(), 0), Swizzle::B128, Int4Chunk::COLUMNS);
    }

    // The sums of a pass. `fetch` is called once the kernel ahead has ended, when there is x to wait for anyway.
    template <class Fetch>
    __device__ __forceinline__ void multiply(Sums& sums, const NarrowPass<Config>& pass, Fetch fetch) {
        const int blocks = pass.blocks_of(share());
        const int strips = pass.strips - side_strip();
#pragma unroll
        for (int g = 0; g < Shape::GROUPS; g++) {
#pragma unroll
            for (int i = 0; i < Mma::REGISTERS; i++) {
                sums[g][i] = 0.0f;
            }
        }
        // One is multiplied while the next group is decoded.
        Fragments fragments[2];
        Int4ChunkCodes codes;
        if (blocks > 0) {
            take(codes, 0);
            decode<0>(fragments[0], codes, strips);
        }
        if (1 < blocks * Shape::GROUPS) {
            take(codes, 1);
        }
        // Rather than asking for x again and again while another kernel wants to compute.
        wait_for_previous_kernel();
        fetch();
        // Slots are constants: what finds them would be a fifth of a step's instructions.
        for (int first = 0; first < blocks; first += Shape::X_STAGES) {
            round<0>(sums, fragments, codes, blocks - first, strips);
        }
    }

    // Leaves the sums of this warp's strips where all find them.
    __device__ __forceinline__ void put(const Sums& sums, int pass_strips) const {
#pragma unroll
        for (int g = 0; g < Shape::GROUPS; g++) {
            const int s = side_strip() + g * Shape::STRIPS + position;
            if (s < pass_strips) {
#pragma unroll
                for (int t = 0; t < Shape::TOKEN_BLOCKS; t++) {
                    const float* sum = sums[g] + 4 * t;
                    *smem.sum(share(), s * Shape::TOKEN_BLOCKS + t, lane) =
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
    const u8* strip;  // in slot 0, as the barriers
    u64* full;
    u64* x_full;
    u64 x;  // descriptor
    SlotPhases phases = SlotPhases::consumer();
    SlotPhases x_phases = SlotPhases::consumer();

    // Which share of k.
    __device__ __forceinline__ int share() const { return warpgroup / Shape::ABREAST; }
    // Where in a pass its strips begin.
    __device__ __forceinline__ int side_strip() const { return warpgroup % Shape::ABREAST * Shape::SIDE_STRIPS; }

    // Waits for a group, brings this warp's strip into registers and gives the slot back.
    __device__ __forceinline__ void take(Int4ChunkCodes& codes, int slot) {
        mbarrier_wait(full + slot, phases.next(slot));
        codes.load(strip + slot * Int4Chunk::BYTES, lane);
        __syncwarp();
        if (lane == 0) {
            mbarrier_arrive(full + Shape::WARPGROUPS * Shape::STAGES + slot);
        }
    }

    template <int GROUP>
    __device__ __forceinline__ void decode(Fragments& fragments, const Int4ChunkCodes& codes, int strips) const {
        if (GROUP * Shape::STRIPS + position < strips) {
            fragments.decode(codes, magnitudes);
        }
    }

    // The steps from STEP on of as many blocks as there are slots of x, of which `blocks` are left.
    template <int STEP>
    __device__ __forceinline__ void round(Sums& sums, Fragments (&fragments)[2], Int4ChunkCodes& codes, int blocks,
                                          int strips) {
        if constexpr (STEP < Shape::ROUND) {
            if (STEP / Shape::GROUPS < blocks) {
                step<STEP>(sums, fragments[STEP % 2], fragments[(STEP + 1) % 2], codes, blocks, strips);
                round<STEP + 1>(sums, fragments, codes, blocks, strips);
            }
        }
    }

    // Multiplies a group, whose fragments are in `now`; meanwhile decodes the next one, whose codes are given, into `next`,
    // and takes the codes of the one behind that. Groups that the pass does not have are multiplied too, whatever their
    // fragments hold: it costs next to nothing, and nobody reads the result.
    template <int STEP>
    __device__ __forceinline__ void step(Sums& sums, Fragments& now, Fragments& next, Int4ChunkCodes& codes, int blocks,
                                         int strips) {
        constexpr int GROUP = STEP % Shape::GROUPS;
        constexpr int X_SLOT = STEP / Shape::GROUPS;
        if (GROUP == 0) {
            mbarrier_wait(x_full + X_SLOT, x_phases.next(X_SLOT));
        }
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
                Mma::rs(products, now.step[s], wgmma_advance(x, X_SLOT * Shape::X_BYTES + 32 * s), s > 0);
            } else {
                Mma::rs(sums[GROUP], now.step[s], wgmma_advance(x, X_SLOT * Shape::X_BYTES + 32 * s), true);
            }
        }
        wgmma_commit();
        if ((STEP + 1) / Shape::GROUPS < blocks) {
            decode<(STEP + 1) % Shape::GROUPS>(next, codes, strips);
            // Here, in the shadow of the product, and not behind the wait.
            next.pin();
            if ((STEP + 2) / Shape::GROUPS < blocks) {
                take(codes, (STEP + 2) % Shape::STAGES);
            }
        }
        wgmma_wait<0>();
        now.pin();
        if constexpr (Config::PROMOTE) {
            wgmma_pin(products);
#pragma unroll
            for (int i = 0; i < Mma::REGISTERS; i++) {
                sums[GROUP][i] += products[i];
            }
        } else {
            wgmma_pin(sums[GROUP]);
        }
        if (GROUP == Shape::GROUPS - 1) {
            __syncwarp();
            if (lane == 0) {
                mbarrier_arrive(x_full + Shape::K_SHARES * Shape::X_STAGES + X_SLOT);
            }
        }
    }
};

// Adds the warpgroups' shares of a fragment.
template <class Config>
__device__ __forceinline__ void add_shares(float (&total)[4], const NarrowSmem<Config>& smem, int fragment, int lane) {
#pragma unroll
    for (int w = 0; w < NarrowShape<Config>::K_SHARES; w++) {
        const Packed<float, 4> part = *smem.sum(w, fragment, lane);
#pragma unroll
        for (int e = 0; e < 4; e++) {
            total[e] = w == 0 ? part.at[e] : total[e] + part.at[e];
        }
    }
}

template <class Config>
__global__ void __maxnreg__(Config::MAX_REGISTERS)
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
    NarrowPass<Config> pass{first_strip, min(Shape::PASS_STRIPS, end_strip - first_strip), k_blocks * rank / Shape::CLUSTER,
                    k_blocks * (rank + 1) / Shape::CLUSTER};
    // Uniform in the eyes of the compiler.
    const int warp = __shfl_sync(0xffffffffu, threadIdx.x / WARP_SIZE, 0);
    const int lane = threadIdx.x % WARP_SIZE;

    allow_next_kernel();
    constexpr int SLOTS = Shape::WARPGROUPS * Shape::STAGES;
    constexpr int X_SLOTS = Shape::K_SHARES * Shape::X_STAGES;
    if (threadIdx.x < 2 * (SLOTS + X_SLOTS)) {
        const int i = threadIdx.x;
        const bool is_full = i < SLOTS || (i >= 2 * SLOTS && i < 2 * SLOTS + X_SLOTS);
        mbarrier_init(smem.full(0, i), is_full ? 1 : i < 2 * SLOTS ? Shape::STRIPS : Shape::STRIPS * Shape::ABREAST);
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
    for (;;) {
        typename NarrowConsumer<Config>::Sums sums;
        consumer.multiply(sums, pass, [&] {
            const int row = pass.first_strip * Int4Chunk::STRIP_ROWS + int(threadIdx.x) - Shape::TILE_M;
            if (threadIdx.x < Shape::TILE_M) {
                smem.x_scale()[threadIdx.x] = threadIdx.x < m ? x_scale[threadIdx.x] : 0.0f;
            } else if (threadIdx.x < Shape::TILE_M + Shape::PASS_ROWS) {
                smem.x_scale()[threadIdx.x] = row < rows ? row_scale[row] : 0.0f;
            }
        });
        named_barrier_sync(2, Shape::CONSUMERS);  // nobody reads the rings any more
        consumer.put(sums, pass.strips);
        const auto output_of = [&](int fragment) {
            return Output(out, (pass.first_strip + fragment / Shape::TOKEN_BLOCKS) * Int4Chunk::STRIP_ROWS,
                          fragment % Shape::TOKEN_BLOCKS * 8, m, n, lane);
        };
        const Output first_output = output_of(warp);  // underway while warps meet
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
                    const Output output = i == 0 ? first_output : output_of(fragment);
                    output.store(total,
                                 RowScales::load(smem.row_scale(), fragment / Shape::TOKEN_BLOCKS * Int4Chunk::STRIP_ROWS,
                                                 Shape::PASS_ROWS, lane),
                                 smem.x_scale());
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
