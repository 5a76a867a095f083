// The sixteen values that the codes of a group stand for, e4m3(level * sigma), and the search for the nearest. One per
// warp, in shared memory; levels ascend.
#pragma once

#include "fireq/common/math.cuh"
#include "fireq/quant/e4m3.cuh"

namespace fireq {

constexpr int INT4_LEVELS = 16;

struct Int4Grid {
    float products[INT4_LEVELS];
    float middles[INT4_LEVELS];  // where products[i] and products[i + 1] are equally near; the last is not used

    // By the whole warp; the grid may be used on return.
    __device__ __forceinline__ void scale(const float* levels, float sigma) {
        const int lane = threadIdx.x % WARP_SIZE;
        __syncwarp();
        if (lane < INT4_LEVELS) {
            products[lane] = round_to_e4m3(levels[lane] * sigma);
        }
        __syncwarp();
        if (lane < INT4_LEVELS - 1) {
            middles[lane] = (products[lane] + products[lane + 1]) / 2.0f;
        }
        __syncwarp();
    }

    // The rank of the value nearest to x, the lower one of two; NaN is in the middle.
    __device__ __forceinline__ int nearest(float x) const {
        if (x != x) {
            return INT4_LEVELS / 2;
        }
        int i = x > middles[7] ? 8 : 0;
        i += x > middles[i + 3] ? 4 : 0;
        i += x > middles[i + 1] ? 2 : 0;
        i += x > middles[i] ? 1 : 0;
        return i;
    }
};

}  // namespace fireq
