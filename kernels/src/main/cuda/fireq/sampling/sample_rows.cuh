/*
 * sample_rows
 *
 * Computes   for each row t with parameters p = rows[t] and l = logits[t,:]:
 *              penalties  for each (i, count) of p: l[i] = l[i] / repetition if l[i] > 0, else l[i] * repetition; then, if
 *                         count > 0, l[i] -= presence + frequency * count
 *              nonsense   out[t] = -1 if an l[i] is NaN or max(l) is infinite
 *              greedy     out[t] = the lowest i with l[i] = max(l), if temperature is 0 or top_k is 1
 *              otherwise  w[i] = exp((l[i] - max(l)) / temperature). Tokens in descending order of l, lower ids first:
 *                         keep the first top_k (0: all), of these the shortest prefix that has the share top_p of their
 *                         weight, of these the ones with w >= min_p. Among these, in order of id, out[t] is the first up to
 *                         which their weights add up to more than u * (sum of their weights), u in [0, 1) drawn from seed
 *                         and index
 * Operands   name       dtype        shape                layout / alignment                     lives in
 *            logits     f32          [n_rows, width]      row-major; penalties overwrite it      step outputs
 *                                                         unless CACHED
 *            rows       SamplingRow  [n_rows]             contiguous, 8 bytes                    step inputs
 *            penalties  Penalty      [see rows]           contiguous, 8 bytes; ids of a row      step inputs
 *                                                         are distinct
 *            out        i32          [n_rows]             contiguous                             step outputs
 * Numerics   see sampling/draw.cuh: weights are integers, so the result is the oracle's whatever the order of sums
 * Work       one cluster per row, each CTA a slice of neighbouring ids, each warp a run of neighbours in it
 *
 *              row:   |  CTA 0        |  CTA 1        | ...            CTA:  | warp 0 | warp 1 | ...
 *
 *            top_k and top_p are searches for the logit at which a sum (of tokens, of weight) reaches a limit: by 11, 11
 *            and 10 bits of descending_order, each with a histogram that all CTAs share. Ties at that logit are kept up to
 *            an id. Drawing, and finding that id, are prefix sums in order of id.
 * Pipeline   none
 * Smem map   struct SampleShared, then (dynamic) 4 * ceil(width / CLUSTER)  the slice, if CACHED
 * Barriers   0 (__syncthreads), the cluster's
 * Requires   width >= 1; a slice fits shared memory if CACHED (launcher checks)
 * Not for    rows of more than 2^23 tokens: the sum of their weights could overflow
 * Launcher   io.fireq.kernels.sampling.SampleRows      Oracle  io.fireq.kernels.sampling.SampleRowsOracle
 * Notes      docs/performance/0003-drawing-tokens.md
 */
#pragma once

#include "fireq/common/math.cuh"
#include "fireq/ptx/cluster.cuh"
#include "fireq/ptx/griddep.cuh"
#include "fireq/sampling/draw.cuh"

namespace fireq {

// How the token of one row is chosen. Zeros: the most likely one.
struct SamplingRow {
    u64 seed;
    i32 index;  // position in the answer
    float temperature;
    i32 top_k;
    float top_p;
    float min_p;
    float repetition_penalty;
    float presence_penalty;
    float frequency_penalty;
    i32 first_penalty;  // in `penalties`
    i32 n_penalties;
};

// A token that the prompt or the answer holds.
struct alignas(8) Penalty {
    i32 token;
    i32 count;  // in the answer
};

static_assert(sizeof(SamplingRow) == 48 && sizeof(Penalty) == 8, "sizes are part of the launch ABI");

// The best of what was looked at; index -1 says that it held a NaN, and stays.
struct Best {
    float value;
    int index;

    static __device__ __forceinline__ Best identity() { return Best{Max::identity(), 0x7fffffff}; }

    __device__ __forceinline__ void take(Best other) {
        const bool better = other.value > value || (other.value == value && other.index < index);
        if (index >= 0 && (better || other.index < 0)) {
            *this = other;
        }
    }
};

// The tokens of a row that are kept: logits ordered before `order`, and of those at it the ones with an id up to `last`.
struct Cut {
    u32 order;
    int last;

    static __device__ __forceinline__ Cut none() { return Cut{0xffffffffu, 0x7fffffff}; }

    __device__ __forceinline__ bool keeps(u32 token_order, int id) const {
        return token_order < order || (token_order == order && id <= last);
    }
};

constexpr u32 ALL_LANES = 0xffffffffu;
constexpr int SEARCH_BITS = 11;
constexpr int SEARCH_BINS = 1 << SEARCH_BITS;

// The sum over the warp, in every lane.
__device__ __forceinline__ u64 warp_sum(u64 value) {
#pragma unroll
    for (int distance = WARP_SIZE / 2; distance > 0; distance /= 2) {
        value += __shfl_xor_sync(ALL_LANES, value, distance);
    }
    return value;
}

// The sum over this lane and those before it.
__device__ __forceinline__ u64 warp_prefix_sum(u64 value) {
#pragma unroll
    for (int distance = 1; distance < WARP_SIZE; distance *= 2) {
        const u64 before = __shfl_up_sync(ALL_LANES, value, distance);
        value += threadIdx.x % WARP_SIZE >= distance ? before : 0;
    }
    return value;
}

template <class Config>
struct SampleShared {
    static constexpr int WARPS = CtaShape<Config::THREADS>::WARPS;
    static constexpr int SEGMENT = SEARCH_BINS / Config::CLUSTER;

    // This CTA's histogram, 64 bits in two halves.
    u32 low[SEARCH_BINS];
    u32 high[SEARCH_BINS];
    // The cluster's, the bins that this CTA adds up.
    u64 merged[SEGMENT];
    u64 warp_sums[WARPS];
    Best warp_bests[WARPS];
    // By rank of CTA, each written by that CTA.
    u64 cta_sums[Config::CLUSTER];
    Best cta_bests[Config::CLUSTER];
    // Results of one thread for all.
    u32 bin;
    u64 before_bin;
    u64 in_bin;
    int found;
};

// One CTA's share of a row. All members are called by all threads of the cluster.
template <class Config>
struct RowSlice {
    using Shared = SampleShared<Config>;
    static constexpr int WARPS = Shared::WARPS;
    static_assert(WARPS <= WARP_SIZE, "one warp reduces what the warps found");
    static_assert(Config::CLUSTER <= WARP_SIZE, "one warp writes to every CTA");

    Shared& shared;
    float* values;  // the slice
    u32 rank;       // of this CTA
    int begin;      // id of values[0]
    int first;      // of this warp's run in the slice
    int last;       // behind it

    // Before `mine` in order of threads, over the CTA; `total` is all of it.
    __device__ u64 sum_before(u64 mine, u64& total) {
        const u64 prefix = warp_prefix_sum(mine);
        const int warp = threadIdx.x / WARP_SIZE;
        __syncthreads();  // earlier sums may still be read
        if (threadIdx.x % WARP_SIZE == WARP_SIZE - 1) {
            shared.warp_sums[warp] = prefix;
        }
        __syncthreads();
        u64 before = prefix - mine;
        total = 0;
        for (int w = 0; w < WARPS; w++) {
            before += w < warp ? shared.warp_sums[w] : 0;
            total += shared.warp_sums[w];
        }
        return before;
    }

    // Tells every CTA this one's sum. They may be told the next one after another cluster_sync.
    __device__ void share_sum(u64 sum) {
        if (threadIdx.x < Config::CLUSTER) {
            *cluster_peer(&shared.cta_sums[rank], threadIdx.x) = sum;
        }
        cluster_sync();
    }

    // The largest logit of the row.
    __device__ Best best() {
        const int lane = threadIdx.x % WARP_SIZE;
        Best best = Best::identity();
        for (int j = first + lane; j < last; j += WARP_SIZE) {
            const float value = values[j];
            best.take(Best{value, value == value ? begin + j : -1});
        }
        best = warp_best(best);
        if (lane == 0) {
            shared.warp_bests[threadIdx.x / WARP_SIZE] = best;
        }
        __syncthreads();
        if (threadIdx.x < WARP_SIZE) {
            best = warp_best(lane < WARPS ? shared.warp_bests[lane] : Best::identity());
            if (lane < Config::CLUSTER) {
                *cluster_peer(&shared.cta_bests[rank], lane) = best;
            }
        }
        cluster_sync();
        best = shared.cta_bests[0];
        for (int cta = 1; cta < Config::CLUSTER; cta++) {
            best.take(shared.cta_bests[cta]);
        }
        return best;
    }

    __device__ Best warp_best(Best best) {
#pragma unroll
        for (int distance = WARP_SIZE / 2; distance > 0; distance /= 2) {
            best.take(Best{__shfl_xor_sync(ALL_LANES, best.value, distance),
                           __shfl_xor_sync(ALL_LANES, best.index, distance)});
        }
        return best;
    }

    // The sum of measure(logit) over this lane's tokens that are kept.
    template <class Measure>
    __device__ u64 sum_of_lane(Cut kept, Measure measure) {
        u64 sum = 0;
        for (int j = first + threadIdx.x % WARP_SIZE; j < last; j += WARP_SIZE) {
            sum += measure_at(j, kept, measure);
        }
        return sum;
    }

    template <class Measure>
    __device__ u64 measure_at(int j, Cut kept, Measure measure) {
        const float logit = values[j];
        return kept.keeps(descending_order(logit), begin + j) ? measure(logit) : 0;
    }

    // The id up to which, in order of id, measure(logit) of what is kept adds up to more than target_of(the whole sum).
    template <class Measure, class Target>
    __device__ int locate(Cut kept, Measure measure, Target target_of) {
        const int lane = threadIdx.x % WARP_SIZE;
        const u64 mine = sum_of_lane(kept, measure);
        u64 total;
        u64 before = __shfl_sync(ALL_LANES, sum_before(mine, total), 0);
        share_sum(total);
        total = 0;
        for (int cta = 0; cta < Config::CLUSTER; cta++) {
            before += cta < rank ? shared.cta_sums[cta] : 0;
            total += shared.cta_sums[cta];
        }
        const u64 target = target_of(total);
        if (before <= target && target - before < warp_sum(mine)) {
            u32 beyond = 0;
            for (int base = first; beyond == 0; base += WARP_SIZE) {
                const int j = base + lane;
                const u64 up_to = before + warp_prefix_sum(j < last ? measure_at(j, kept, measure) : 0);
                beyond = __ballot_sync(ALL_LANES, up_to > target);
                if (beyond != 0 && lane < Config::CLUSTER) {
                    *cluster_peer(&shared.found, lane) = begin + base + __ffs(beyond) - 1;
                }
                before = __shfl_sync(ALL_LANES, up_to, WARP_SIZE - 1);
            }
        }
        cluster_sync();
        return shared.found;
    }

    // Cuts what is kept where the sum of measure(logit), in descending order of logits, reaches limit_of(the whole sum): at
    // least 1, at most that sum.
    template <class Measure, class Limit>
    __device__ Cut search(Cut kept, Measure measure, Limit limit_of) {
        constexpr int LEVELS = 3;
        constexpr int SHIFTS[LEVELS] = {32 - SEARCH_BITS, 32 - 2 * SEARCH_BITS, 0};
        static_assert(32 - 2 * SEARCH_BITS <= SEARCH_BITS, "the last level is not wider than the others");
        u32 order = 0;  // the bits found so far
        u64 before = 0;
        u64 limit = 0;
#pragma unroll
        for (int level = 0; level < LEVELS; level++) {
            const int shift = SHIFTS[level];
            const int end = level == 0 ? 32 : SHIFTS[level - 1];
            for (int bin = threadIdx.x; bin < SEARCH_BINS; bin += Config::THREADS) {
                shared.low[bin] = 0;
                shared.high[bin] = 0;
            }
            __syncthreads();
            for (int j = first + threadIdx.x % WARP_SIZE; j < last; j += WARP_SIZE) {
                const float logit = values[j];
                const u32 of_logit = descending_order(logit);
                if ((level == 0 || of_logit >> end == order) && kept.keeps(of_logit, begin + j)) {
                    add((of_logit >> shift) & ((1u << (end - shift)) - 1), measure(logit));
                }
            }
            cluster_sync();
            merge();
            cluster_sync();
            find(before, [&](u64 total) { return level == 0 ? limit = limit_of(total) : limit; });
            order = order << (end - shift) | shared.bin;
            before = shared.before_bin;
        }
        // Of the tokens at that logit, as many as it takes.
        const u64 unit = measure(logit_at(order));
        const u64 wanted = ceil_div(limit - before, unit);
        if (wanted == shared.in_bin / unit) {
            return Cut{order, order == kept.order ? kept.last : Cut::none().last};
        }
        return Cut{order, locate(kept, [=](float logit) { return u64(descending_order(logit) == order); },
                                 [=](u64) { return wanted - 1; })};
    }

    __device__ void add(u32 bin, u64 value) {
        const u32 low = u32(value);
        const u32 old = atomicAdd(&shared.low[bin], low);
        const u32 high = u32(value >> 32) + (old + low < old);
        if (high != 0) {
            atomicAdd(&shared.high[bin], high);
        }
    }

    // Adds up the cluster's histograms, each CTA a segment of the bins.
    __device__ void merge() {
        for (int i = threadIdx.x; i < Shared::SEGMENT; i += Config::THREADS) {
            const int bin = rank * Shared::SEGMENT + i;
            u64 sum = 0;
            for (int cta = 0; cta < Config::CLUSTER; cta++) {
                sum += u64(*cluster_peer(&shared.low[bin], cta)) + (u64(*cluster_peer(&shared.high[bin], cta)) << 32);
            }
            shared.merged[i] = sum;
        }
    }

    // The bin that brings the sum from below limit_of(all bins) to it, `before` being the sum before all bins.
    template <class Limit>
    __device__ void find(u64 before, Limit limit_of) {
        constexpr int PER_THREAD = SEARCH_BINS / Config::THREADS;
        static_assert(PER_THREAD >= 1 && SEARCH_BINS % Config::THREADS == 0, "each thread takes neighbouring bins");
        u64 in_bin[PER_THREAD];
        u64 mine = 0;
#pragma unroll
        for (int i = 0; i < PER_THREAD; i++) {
            const int bin = threadIdx.x * PER_THREAD + i;
            in_bin[i] = *cluster_peer(&shared.merged[bin % Shared::SEGMENT], bin / Shared::SEGMENT);
            mine += in_bin[i];
        }
        u64 total;
        before += sum_before(mine, total);
        const u64 limit = limit_of(total);
#pragma unroll
        for (int i = 0; i < PER_THREAD; i++) {
            if (before < limit && limit - before <= in_bin[i]) {
                shared.bin = threadIdx.x * PER_THREAD + i;
                shared.before_bin = before;
                shared.in_bin = in_bin[i];
            }
            before += in_bin[i];
        }
        __syncthreads();
    }
};

__device__ __forceinline__ float penalize(float logit, const SamplingRow& row, int count) {
    logit = logit > 0.0f ? logit / row.repetition_penalty : logit * row.repetition_penalty;
    return count > 0 ? logit - (row.presence_penalty + row.frequency_penalty * float(count)) : logit;
}

template <class Config>
__global__ void __launch_bounds__(Config::THREADS)
    sample_rows(float* __restrict__ logits, const SamplingRow* __restrict__ rows, const Penalty* __restrict__ penalties,
                i32* __restrict__ out, int width) {
    extern __shared__ float cached[];
    __shared__ SampleShared<Config> shared;

    cluster_arrive();
    allow_next_kernel();
    wait_for_previous_kernel();
    const SamplingRow row = rows[blockIdx.x / Config::CLUSTER];
    const u32 rank = cluster_cta_rank();
    const int slice = ceil_div(width, Config::CLUSTER);
    const int begin = min(int(rank) * slice, width);
    const int n = min(slice, width - begin);
    const int run = ceil_div(n, CtaShape<Config::THREADS>::WARPS);
    const int first = min(int(threadIdx.x / WARP_SIZE) * run, n);
    const int last = min(first + run, n);
    float* stored = logits + i64(blockIdx.x / Config::CLUSTER) * width + begin;
    float* values = Config::CACHED ? cached : stored;
    if constexpr (Config::CACHED) {
#pragma unroll 8
        for (int j = first + threadIdx.x % WARP_SIZE; j < last; j += WARP_SIZE) {
            cached[j] = stored[j];
        }
        __syncthreads();
    }
    for (int i = threadIdx.x; i < row.n_penalties; i += Config::THREADS) {
        const Penalty penalty = penalties[row.first_penalty + i];
        const int j = penalty.token - begin;
        if (j >= 0 && j < n) {
            values[j] = penalize(values[j], row, penalty.count);
        }
    }
    __syncthreads();
    cluster_wait();  // all CTAs have started: their shared memory may be written

    RowSlice<Config> tokens{shared, values, rank, begin, first, last};
    const Best best = tokens.best();
    int token = fabsf(best.value) == -Max::identity() ? -1 : best.index;
    if (token >= 0 && row.temperature != 0.0f && row.top_k != 1) {
        const Weighting weight = Weighting::of(best.value, row.temperature);
        Cut kept = Cut::none();
        if (row.top_k > 0 && row.top_k < width) {
            kept = tokens.search(kept, [](float) { return u64(1); }, [=](u64) { return u64(row.top_k); });
        }
        if (row.top_p < 1.0f) {
            kept = tokens.search(kept, weight, [=](u64 total) {
                const u64 limit = share_of(total, row.top_p);
                return limit > 1 ? limit : 1;
            });
        }
        const u64 least = weight_of_share(row.min_p);
        const u64 random = random_bits(row.seed, row.index);
        token = tokens.locate(kept, [=](float logit) {
            const u64 w = weight(logit);
            return w >= least ? w : 0;
        }, [=](u64 total) { return __umul64hi(total, random); });
    }
    if (rank == 0 && threadIdx.x == 0) {
        out[blockIdx.x / Config::CLUSTER] = token;
    }
}

}  // namespace fireq
