/*
 * sm90_fp8_prefill
 *
 * Computes   for each token at position p and head h, over the positions s = 0..p of its sequence:
 *              score[s] = query_scale / sqrt(HEAD_DIM) * k_scale[s] * sum_c q[c] * (k_code[s,c] - k_zero[s])
 *              prob[s]  = exp(score[s] - max), max running over the tiles of KV
 *              a[s]     = e4m3(prob[s] * v_scale[s] / a_scale), a_scale at least what keeps a within e4m3, see
 *                         attention/online_softmax.cuh
 *              out[c]   = a_scale * sum_s a[s] * (v_code[s,c] - v_zero[s]) / sum_s prob[s]
 * Operands   name          dtype        shape                              layout / alignment          lives in
 *            query         e4m3         [n_tokens, n_heads, HEAD_DIM]      row-major, TMA              activations
 *            query_scale   f32          [n_tokens, n_heads]                row-major                   activations
 *            records       KvTile       [n_tiles, n_kv_heads]              see attention/kv_tile.cuh   workspace
 *            items         PrefillItem  [n_items]                          longest first               prefill plan
 *            next_item     i32          [1]                                zero at the start           workspace
 *            out           bf16         [n_tokens, n_heads, HEAD_DIM]      row-major, 16 B             activations
 * Numerics   Code - zero is exact in e4m3. Products of e4m3 are exact; the tensor core keeps about 14 bits of their running sum. Softmax in float32
 *            with ex2.approx (2 ulp). Bitwise equal from run to run: each row's sums have one order
 * Work       persistent, one CTA per SM; items (a run of tokens of one sequence) times KV heads are dealt out by a
 *            counter, one KV head after another, long items first. The heads that share a KV head are packed into the
 *            rows of a tile: row = token * heads_per_kv + head, 64 rows per consumer warpgroup.
 *            Warpgroup 0 loads (one thread), PRODUCER_REGISTERS; the CONSUMERS others compute, CONSUMER_REGISTERS
 * Pipeline   THREE_STAGES: while softmax works on block j + 1, the tensor core does O += P(j) V(j), then
 *            S(j + 2) = Q K(j + 2). The two are separate commit groups: wait<1> ends the first, whose P and O are then
 *            free to change, wait<0> the second. Otherwise S(j + 1) and O += P(j) V(j) are queued together and softmax
 *            of j + 1 overlaps with the latter only; two consumers take turns to queue, so that one's products run
 *            beside the other's softmax.
 *            barrier       initialised to   who arrives                  who waits    tx bytes
 *            query_full    1                producer                     consumers    query box (0 at the end)
 *            query_empty   4 * CONSUMERS    each consumer warp           producer     -
 *            kv_full       1                producer                     consumers    KvTile::BYTES
 *            kv_empty      4 * CONSUMERS    each consumer warp           producer     -
 * Smem map   offset                      bytes                            content (dynamic, from a multiple of 1024)
 *            0                           KV_STAGES * KvTile::STRIDE       K, V and their parameters
 *            +                           QUERY_STAGES * ROWS * HEAD_DIM   query rows, swizzled
 *            +                           sizeof(PrefillSmem)              items of the queries, barriers
 * Barriers   0 (__syncthreads) for the setup only; 1 and 2: the turn of a consumer (two consumers without THREE_STAGES)
 * Requires   one group per head (launcher), every item's tiles expanded by expand_kv in the launch before (launcher)
 * Not for    other head sizes, several groups per head: plain_paged_attention. Decode: sm90_int4kv_decode
 * Launcher   io.fireq.kernels.attention.Fp8PrefillAttention      Oracle  io.fireq.kernels.attention.AttentionOracle
 * Notes      none
 */
#pragma once

#include "fireq/attention/online_softmax.cuh"
#include "fireq/pipeline/stage.cuh"
#include "fireq/ptx/griddep.cuh"
#include "fireq/ptx/reg.cuh"
#include "fireq/ptx/tma.cuh"
#include "fireq/ptx/wgmma.cuh"

namespace fireq {

// One entry of the plan: query rows that share their KV head's tiles 0..n_tiles - 1.
struct alignas(16) PrefillItem {
    int first_token;     // row of `query`
    int n_tokens;
    int first_position;  // of first_token in its sequence
    int first_tile;      // index of the sequence's tile 0 among the records
    int n_tiles;
    int kv_head;         // filled in by the producer
    int unused[2];
};

template <class Config>
struct PrefillShape {
    static constexpr int HEAD_DIM = Config::HEAD_DIM;
    static constexpr int KV_TILE = Config::KV_TILE;
    static constexpr int CONSUMERS = Config::CONSUMERS;
    static constexpr int KV_STAGES = Config::KV_STAGES;
    static constexpr int QUERY_STAGES = Config::QUERY_STAGES;
    static constexpr int THREADS = 128 * (1 + CONSUMERS);
    static constexpr int CONSUMER_WARPS = 4 * CONSUMERS;
    static constexpr int WG_QUERY_BYTES = 64 * HEAD_DIM;
    static constexpr bool TURNS = CONSUMERS == 2 && !Config::THREE_STAGES;
    static constexpr int QUERY_BYTES = CONSUMERS * WG_QUERY_BYTES;
    static constexpr Swizzle K_SWIZZLE = HEAD_DIM == 128 ? Swizzle::B128 : Swizzle::B64;
    static constexpr Swizzle V_SWIZZLE = KV_TILE == 128 ? Swizzle::B128 : Swizzle::B64;

    using Tile = KvTile<HEAD_DIM, KV_TILE>;
    using Softmax = OnlineSoftmax<KV_TILE>;
    using ScoresMma = WgmmaF32<KV_TILE>;
    using OutputMma = WgmmaF32<HEAD_DIM>;

    static_assert(KV_STAGES >= 3, "V of block j, the parameters of j + 1 and K of j + 2 are in use together");
    static_assert(WG_QUERY_BYTES % 1024 == 0, "the swizzle counts from addresses that are multiples of 1024");
    static_assert(ScoresMma::REGISTERS == Softmax::SCORES, "a lane's scores are its accumulators");
    static_assert(128 * Config::PRODUCER_REGISTERS + 128 * CONSUMERS * Config::CONSUMER_REGISTERS <= 65536,
                  "an SM has 65536 registers");
};

template <class Config>
struct PrefillSmem {
    using Shape = PrefillShape<Config>;
    PrefillItem item[Shape::QUERY_STAGES];
    u64 query_full[Shape::QUERY_STAGES];
    u64 query_empty[Shape::QUERY_STAGES];
    u64 kv_full[Shape::KV_STAGES];
    u64 kv_empty[Shape::KV_STAGES];
};

// The thread that feeds the consumers.
template <class Config>
__device__ __forceinline__ void prefill_producer(PrefillSmem<Config>& smem, u8* kv, u8* queries, const TensorMap* query,
                                                 const u8* records, const PrefillItem* items, i32* next_item, int n_items,
                                                 int n_kv_heads, int heads_per_kv, u32 query_bytes) {
    using Shape = PrefillShape<Config>;
    using Tile = typename Shape::Tile;
    auto query_stage = Stage<Shape::QUERY_STAGES>::producer();
    auto kv_stage = Stage<Shape::KV_STAGES>::producer();
    int index = atomicAdd(next_item, 1);
    while (index < n_items * n_kv_heads) {
        PrefillItem item = items[index % n_items];
        item.kv_head = index / n_items;
        index = atomicAdd(next_item, 1);

        u64* full = &smem.query_full[query_stage.index];
        mbarrier_wait(&smem.query_empty[query_stage.index], query_stage.phase);
        smem.item[query_stage.index] = item;
        mbarrier_arrive_expect_bytes(full, query_bytes);
        tma_load_3d(queries + query_stage.index * Shape::QUERY_BYTES, query, full, 0, item.kv_head * heads_per_kv,
                    item.first_token, CacheHint::EVICT_FIRST);
        query_stage.advance();

        const u8* record = records + (i64(item.first_tile) * n_kv_heads + item.kv_head) * Tile::STRIDE;
        for (int j = 0; j < item.n_tiles; j++) {
            mbarrier_wait(&smem.kv_empty[kv_stage.index], kv_stage.phase);
            mbarrier_arrive_expect_bytes(&smem.kv_full[kv_stage.index], Tile::BYTES);
            bulk_load(kv + kv_stage.index * Tile::STRIDE, record, Tile::BYTES, &smem.kv_full[kv_stage.index]);
            record += i64(n_kv_heads) * Tile::STRIDE;
            kv_stage.advance();
        }
    }
    mbarrier_wait(&smem.query_empty[query_stage.index], query_stage.phase);
    smem.item[query_stage.index].n_tiles = 0;
    mbarrier_arrive(&smem.query_full[query_stage.index]);
}

// One consumer warpgroup.
template <class Config>
struct PrefillConsumer {
    using Shape = PrefillShape<Config>;
    using Tile = typename Shape::Tile;
    using Softmax = typename Shape::Softmax;
    using Scores = float[Shape::ScoresMma::REGISTERS];
    using Output = float[Shape::OutputMma::REGISTERS];
    using Probs = u32[Softmax::FRAGMENTS][4];
    using Keys = typename Softmax::Scales;

    PrefillSmem<Config>& smem;
    const u8* kv;
    Stage<Shape::KV_STAGES> k_stage;  // the next K to multiply
    int v_stage;                      // the next V to multiply
    u64 query;                        // descriptor of this warpgroup's rows
    int warpgroup;
    Softmax softmax;
    int mask_from;  // tiles that reach beyond this position are masked

    static __device__ __forceinline__ int after(int stage) { return stage + 1 == Shape::KV_STAGES ? 0 : stage + 1; }

    static __device__ __forceinline__ void arrive(u64* barrier) {
        if (threadIdx.x % WARP_SIZE == 0) {
            mbarrier_arrive(barrier);
        }
    }

    // Until the next K is there.
    __device__ __forceinline__ void wait_keys() const { mbarrier_wait(&smem.kv_full[k_stage.index], k_stage.phase); }

    // Queues S = Q K of the next tile, for which wait_keys waited, as one commit group.
    __device__ __forceinline__ void start_scores(Scores& scores) {
        const u64 k = wgmma_descriptor(kv + k_stage.index * Tile::STRIDE + Tile::K, Shape::K_SWIZZLE, Shape::HEAD_DIM);
        wgmma_discard(scores);
        wgmma_fence();
#pragma unroll
        for (int step = 0; step < Shape::HEAD_DIM / 32; step++) {
            Shape::ScoresMma::ss(scores, wgmma_advance(query, 32 * step), wgmma_advance(k, 32 * step), step > 0);
        }
        wgmma_commit();
        k_stage.advance();
    }

    // Queues O += P V of the next tile as one commit group.
    __device__ __forceinline__ void start_output(Output& output, const Probs& probs, bool accumulate) {
        const u64 v = wgmma_descriptor(kv + v_stage * Tile::STRIDE + Tile::V, Shape::V_SWIZZLE, Shape::KV_TILE);
        wgmma_fence();
#pragma unroll
        for (int step = 0; step < Softmax::FRAGMENTS; step++) {
            Shape::OutputMma::rs(output, probs[step], wgmma_advance(v, 32 * step), accumulate || step > 0);
        }
        wgmma_commit();
    }

    // Until O += P V is done, with PENDING commit groups after it; gives its tile back.
    template <int PENDING = 0>
    __device__ __forceinline__ void finish_output(Output& output, Probs& probs) {
        wgmma_wait<PENDING>();
        wgmma_pin(output);
#pragma unroll
        for (int i = 0; i < Softmax::FRAGMENTS; i++) {
            wgmma_pin(probs[i]);
        }
        arrive(&smem.kv_empty[v_stage]);
        v_stage = after(v_stage);
    }

    static __device__ __forceinline__ void apply(bool raised, const float (&rescale)[2], Output& output) {
        if (raised) {
#pragma unroll
            for (int i = 0; i < Shape::OutputMma::REGISTERS; i++) {
                output[i] *= rescale[i / 2 % 2];
            }
        }
    }

    // Scales of the keys in `stage`: read before their scores are waited for.
    __device__ __forceinline__ void load_keys(int stage, Keys& keys) const {
        keys.load(reinterpret_cast<const float4*>(kv + stage * Tile::STRIDE + Tile::K_SCALES) + threadIdx.x % 4);
    }

    // Softmax of tile `index` of the sequence, which lies in `stage`: weights in the place of scores.
    __device__ __forceinline__ bool make_weights(int index, int stage, Scores& scores, const Keys& keys,
                                                 float (&rescale)[2]) {
        const u8* tile = kv + stage * Tile::STRIDE;
        const float4* v_scales = reinterpret_cast<const float4*>(tile + Tile::V_SCALES) + threadIdx.x % 4;
        const float bound = *reinterpret_cast<const float*>(tile + Tile::BOUND);
        const int first_position = index * Shape::KV_TILE;
        return softmax.tile(scores, keys, v_scales, bound, first_position,
                            first_position + Shape::KV_TILE - 1 > mask_from, rescale);
    }

    // Two warpgroups take turns to queue their products, so that one's softmax meets the other's products.
    __device__ __forceinline__ void wait_turn() const {
        if constexpr (Shape::TURNS) {
            named_barrier_sync(1 + warpgroup, 256);
        }
    }

    __device__ __forceinline__ void pass_turn() const {
        if constexpr (Shape::TURNS) {
            named_barrier_arrive(2 - warpgroup, 256);
        }
    }

    // With P(j) made and S(j + 1) queued: queues O += P(j) V(j) and, if LATER, S(j + 2); meanwhile makes P(j + 1).
    template <bool LATER>
    __device__ __forceinline__ void step(int j, Output& output, Probs& probs, Scores& next_scores, Probs& next_probs,
                                         Scores& later_scores) {
        float rescale[2];
        Keys keys;
        load_keys(after(v_stage), keys);
        wgmma_wait<0>();
        wgmma_pin(next_scores);
        start_output(output, probs, j > 0);
        if constexpr (LATER) {
            wait_keys();
            start_scores(later_scores);
        }
        const bool raised = make_weights(j + 1, after(v_stage), next_scores, keys, rescale);
        Softmax::pack(next_scores, next_probs);
        finish_output<LATER ? 1 : 0>(output, probs);
        apply(raised, rescale, output);
    }

    // With P(j - 1) made: S(j), O += P(j - 1) V(j - 1) and the weights of tile j, where only the last two overlap; then
    // P(j) takes the place of P(j - 1).
    __device__ __forceinline__ void short_step(int j, Output& output, Probs& probs, Scores& scores) {
        float rescale[2];
        Keys keys;
        wait_keys();
        load_keys(after(v_stage), keys);
        wait_turn();
        start_scores(scores);
        start_output(output, probs, j > 1);
        pass_turn();
        wgmma_wait<1>();
        wgmma_pin(scores);
        const bool raised = make_weights(j, after(v_stage), scores, keys, rescale);
        finish_output(output, probs);
        Softmax::pack(scores, probs);
        apply(raised, rescale, output);
    }

    // The weighted sum over tiles 0..n_tiles - 1. `prepare` sets up `softmax` while the first scores are computed.
    template <class Prepare>
    __device__ __forceinline__ void attend(Output& output, int n_tiles, Prepare prepare) {
        Scores a;
        Probs p;
        float unused[2];
        Keys keys;
        wait_keys();
        start_scores(a);
        prepare();
        load_keys(v_stage, keys);
        wgmma_wait<0>();
        wgmma_pin(a);
        wgmma_discard(output);
        if constexpr (!Config::THREE_STAGES) {
            make_weights(0, v_stage, a, keys, unused);
            Softmax::pack(a, p);
            for (int j = 1; j < n_tiles; j++) {
                short_step(j, output, p, a);
            }
            start_output(output, p, n_tiles > 1);
            finish_output(output, p);
        } else {
            Scores b;
            Probs r;
            if (n_tiles > 1) {
                wait_keys();
                start_scores(b);
            }
            make_weights(0, v_stage, a, keys, unused);
            Softmax::pack(a, p);
            int j;  // of the last P made
            for (j = 0; j + 3 < n_tiles; j += 2) {
                step<true>(j, output, p, b, r, a);
                step<true>(j + 1, output, r, a, p, b);
            }
            if (j + 3 == n_tiles) {
                step<true>(j, output, p, b, r, a);
                step<false>(j + 1, output, r, a, p, b);
                j += 2;
            } else if (j + 2 == n_tiles) {
                step<false>(j, output, p, b, r, a);
                j += 1;
            }
            if (j % 2 == 0) {
                start_output(output, p, j > 0);
                finish_output(output, p);
            } else {
                start_output(output, r, true);
                finish_output(output, r);
            }
        }
    }
};

template <class Config>
__device__ __forceinline__ void prefill_consumer(PrefillSmem<Config>& smem, const u8* kv, const u8* queries,
                                                 const float* query_scale, bf16* out, int n_heads, int heads_per_kv) {
    using Shape = PrefillShape<Config>;
    constexpr int HEAD_DIM = Shape::HEAD_DIM;
    // By way of a shuffle the compiler learns that it is the same in all lanes.
    const int wg = __shfl_sync(0xffffffffu, int(threadIdx.x) / 128 - 1, 0);
    const int quad_lane = threadIdx.x % 4;
    const int first_row = wg * 64 + threadIdx.x % 128 / WARP_SIZE * 16 + threadIdx.x % WARP_SIZE / 4;
    const float score_scale = 1.4426950408889634f / sqrtf(float(HEAD_DIM));
    auto query_stage = Stage<Shape::QUERY_STAGES>::consumer();
    PrefillConsumer<Config> consumer{smem, kv, Stage<Shape::KV_STAGES>::consumer(), 0, 0, wg};
    if (wg == 1) {
        consumer.pass_turn();
    }

    while (true) {
        mbarrier_wait(&smem.query_full[query_stage.index], query_stage.phase);
        const PrefillItem& item = smem.item[query_stage.index];
        if (item.n_tiles == 0) {
            break;
        }
        const u8* query = queries + query_stage.index * Shape::QUERY_BYTES + wg * Shape::WG_QUERY_BYTES;
        consumer.query = wgmma_descriptor(query, Shape::K_SWIZZLE, HEAD_DIM);
        consumer.mask_from = item.first_position;
        // A row beyond the item's last token computes what its last token does, and is not stored.
        const auto token_of = [&](int row) { return min(row / heads_per_kv, item.n_tokens - 1); };
        const auto out_row = [&](int row) {
            return i64(item.first_token + token_of(row)) * n_heads + item.kv_head * heads_per_kv + row % heads_per_kv;
        };
        float output[Shape::OutputMma::REGISTERS];
        consumer.attend(output, item.n_tiles, [&] {
            consumer.softmax.reset();
#pragma unroll
            for (int h = 0; h < 2; h++) {
                consumer.softmax.limit[h] = item.first_position + token_of(first_row + 8 * h);
                consumer.softmax.factor[h] = query_scale[out_row(first_row + 8 * h)] * score_scale;
            }
        });

        consumer.softmax.finish();
#pragma unroll
        for (int h = 0; h < 2; h++) {
            // Opaque, or the compiler would keep what it computed from it above in registers all the while.
            int tile_row = first_row + 8 * h;
            asm volatile("" : "+r"(tile_row));
            if (tile_row >= item.n_tokens * heads_per_kv) {
                continue;
            }
            const float inv_sum = 1.0f / consumer.softmax.sum[h];
            bf16* row = out + out_row(tile_row) * HEAD_DIM + quad_lane * 8;
#pragma unroll
            for (int run = 0; run < HEAD_DIM / 32; run++) {
                Packed<bf16, 8> values;
#pragma unroll
                for (int i = 0; i < 8; i++) {
                    values.at[i] = to_bf16(output[16 * run + i / 2 * 4 + 2 * h + i % 2] * inv_sum);
                }
                *reinterpret_cast<Packed<bf16, 8>*>(row + 32 * run) = values;
            }
        }
        __syncwarp();
        consumer.arrive(&smem.query_empty[query_stage.index]);
        query_stage.advance();
    }
}

template <class Config>
__global__ void __launch_bounds__(PrefillShape<Config>::THREADS, 1)
    sm90_fp8_prefill(const __grid_constant__ TensorMap query, const float* __restrict__ query_scale,
                     const u8* __restrict__ records, const PrefillItem* __restrict__ items, i32* __restrict__ next_item,
                     bf16* __restrict__ out, int n_items, int n_heads, int n_kv_heads, u32 query_bytes) {
    using Shape = PrefillShape<Config>;
    alignas(1024) extern __shared__ u8 dynamic_smem[];
    u8* kv = dynamic_smem;
    u8* queries = kv + Shape::KV_STAGES * Shape::Tile::STRIDE;
    auto& smem = *reinterpret_cast<PrefillSmem<Config>*>(queries + Shape::QUERY_STAGES * Shape::QUERY_BYTES);

    if (threadIdx.x == 0) {
        for (int i = 0; i < Shape::QUERY_STAGES; i++) {
            mbarrier_init(&smem.query_full[i], 1);
            mbarrier_init(&smem.query_empty[i], Shape::CONSUMER_WARPS);
        }
        for (int i = 0; i < Shape::KV_STAGES; i++) {
            mbarrier_init(&smem.kv_full[i], 1);
            mbarrier_init(&smem.kv_empty[i], Shape::CONSUMER_WARPS);
        }
        mbarrier_init_fence();
        tma_prefetch_descriptor(&query);
        trap_unless(smem_address(dynamic_smem) % 1024 == 0);
    }
    __syncthreads();
    allow_next_kernel();
    wait_for_previous_kernel();

    const int heads_per_kv = n_heads / n_kv_heads;
    if (threadIdx.x < 128) {
        give_registers<Config::PRODUCER_REGISTERS>();
        if (threadIdx.x == 0) {
            prefill_producer<Config>(smem, kv, queries, &query, records, items, next_item, n_items, n_kv_heads,
                                     heads_per_kv, query_bytes);
        }
    } else {
        take_registers<Config::CONSUMER_REGISTERS>();
        prefill_consumer<Config>(smem, kv, queries, query_scale, out, n_heads, heads_per_kv);
    }
}

}  // namespace fireq
