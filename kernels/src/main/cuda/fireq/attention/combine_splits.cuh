// Merges what several workers found for the same output row over disjoint runs of positions. A worker leaves the sum of
// its probabilities 2^(score - reference), the same sum weighted with V (not divided), and its reference; merging
// brings all to the largest reference. The order of workers is fixed, so the result is the same bits every time.
#pragma once

#include "fireq/common/math.cuh"

namespace fireq {

struct SplitStats {
    float reference;  // -infinity: the worker saw no position
    float sum;
};

// What to multiply a worker's sums with.
__device__ __forceinline__ float split_weight(float reference, float largest) {
    return reference == Max::identity() ? 0.0f : exp2f(reference - largest);
}

// One warp merges one output row of HEAD_DIM channels; its lanes take neighbouring channels. `stats` and `values` are
// those of worker 0; values of worker s start s * HEAD_DIM later. All is read through L2: other SMs wrote it.
template <int HEAD_DIM>
__device__ __forceinline__ void combine_splits(const SplitStats* stats, const float* values, int n_splits,
                                               float (&out)[HEAD_DIM / WARP_SIZE]) {
    constexpr int CHANNELS = HEAD_DIM / WARP_SIZE;
    constexpr int CHUNK = 8;  // workers whose values are in flight together
    static_assert(CHANNELS == 2 || CHANNELS == 4, "head sizes 64 and 128");
    using Piece = Packed<float, CHANNELS>;
    const int lane = threadIdx.x % WARP_SIZE;
    // A lane looks after every 32nd worker, and tells the others its weight.
    const auto stat_of = [&](int s) {
        if (s >= n_splits) {
            return SplitStats{Max::identity(), 0.0f};
        }
        const float2 stat = __ldcg(reinterpret_cast<const float2*>(stats + s));
        return SplitStats{stat.x, stat.y};
    };
    Piece pieces[CHUNK];
    const auto load_chunk = [&](int first) {
#pragma unroll
        for (int i = 0; i < CHUNK; i++) {
            pieces[i] = Piece{};
            if (first + i < n_splits) {
                const float* row = values + i64(first + i) * HEAD_DIM + lane * CHANNELS;
                if constexpr (CHANNELS == 4) {
                    const float4 v = __ldcg(reinterpret_cast<const float4*>(row));
                    pieces[i] = Piece{{v.x, v.y, v.z, v.w}};
                } else {
                    const float2 v = __ldcg(reinterpret_cast<const float2*>(row));
                    pieces[i] = Piece{{v.x, v.y}};
                }
            }
        }
    };
    SplitStats mine = stat_of(lane);
    load_chunk(0);
    float largest = mine.reference;
    for (int s = lane + WARP_SIZE; s < n_splits; s += WARP_SIZE) {
        largest = fmaxf(largest, stat_of(s).reference);
    }
    largest = warp_reduce(largest, Max());
    float sum = 0.0f;
#pragma unroll
    for (int c = 0; c < CHANNELS; c++) {
        out[c] = 0.0f;
    }
    float weight = 0.0f;
    for (int first = 0; first < n_splits; first += CHUNK) {
        if (first > 0) {
            load_chunk(first);
        }
        if (first % WARP_SIZE == 0) {
            mine = first == 0 ? mine : stat_of(first + lane);
            weight = split_weight(mine.reference, largest);
            sum = fmaf(weight, mine.sum, sum);
        }
#pragma unroll
        for (int i = 0; i < CHUNK; i++) {
            const float its_weight = __shfl_sync(0xffffffffu, weight, (first + i) % WARP_SIZE);
#pragma unroll
            for (int c = 0; c < CHANNELS; c++) {
                out[c] = fmaf(its_weight, pieces[i].at[c], out[c]);
            }
        }
    }
    const float inv_sum = 1.0f / warp_reduce(sum, Sum());
#pragma unroll
    for (int c = 0; c < CHANNELS; c++) {
        out[c] *= inv_sum;
    }
}

}  // namespace fireq
