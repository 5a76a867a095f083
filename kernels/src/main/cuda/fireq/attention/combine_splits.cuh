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
// those of worker 0; values of worker s start s * HEAD_DIM later.
template <int HEAD_DIM>
__device__ __forceinline__ void combine_splits(const SplitStats* stats, const float* values, int n_splits,
                                               float (&out)[HEAD_DIM / WARP_SIZE]) {
    constexpr int CHANNELS = HEAD_DIM / WARP_SIZE;
    constexpr int UNROLL = 8;
    const int lane = threadIdx.x % WARP_SIZE;
    float largest = Max::identity();
    for (int s = lane; s < n_splits; s += WARP_SIZE) {
        largest = fmaxf(largest, __ldcg(&stats[s].reference));
    }
    largest = warp_reduce(largest, Max());
    float sum = 0.0f;
#pragma unroll
    for (int c = 0; c < CHANNELS; c++) {
        out[c] = 0.0f;
    }
#pragma unroll UNROLL
    for (int s = 0; s < n_splits; s++) {
        // Through L2: another SM wrote it.
        const float2 stat = __ldcg(reinterpret_cast<const float2*>(stats + s));
        const float weight = split_weight(stat.x, largest);
        sum = fmaf(weight, stat.y, sum);
        float piece[CHANNELS];
        const float* row = values + i64(s) * HEAD_DIM + lane * CHANNELS;
        if constexpr (CHANNELS == 4) {
            const float4 v = __ldcg(reinterpret_cast<const float4*>(row));
            piece[0] = v.x;
            piece[1] = v.y;
            piece[2] = v.z;
            piece[3] = v.w;
        } else {
            static_assert(CHANNELS == 2, "head sizes 64 and 128");
            const float2 v = __ldcg(reinterpret_cast<const float2*>(row));
            piece[0] = v.x;
            piece[1] = v.y;
        }
#pragma unroll
        for (int c = 0; c < CHANNELS; c++) {
            out[c] = fmaf(weight, piece[c], out[c]);
        }
    }
    const float inv_sum = 1.0f / sum;
#pragma unroll
    for (int c = 0; c < CHANNELS; c++) {
        out[c] *= inv_sum;
    }
}

}  // namespace fireq
