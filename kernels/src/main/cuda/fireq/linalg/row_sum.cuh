// Sums in float64 over a CTA, in an order that depends on nothing but the number of threads.
#pragma once

#include "fireq/common/math.cuh"

namespace fireq {

// The result is in thread 0. `scratch` holds a double per warp; the CTA is synchronised on the way in.
template <int THREADS>
__device__ __forceinline__ double cta_sum(double value, double* scratch) {
    constexpr int WARPS = CtaShape<THREADS>::WARPS;
#pragma unroll
    for (int distance = WARP_SIZE / 2; distance > 0; distance /= 2) {
        value += __shfl_xor_sync(0xffffffffu, value, distance);
    }
    __syncthreads();
    if (threadIdx.x % WARP_SIZE == 0) {
        scratch[threadIdx.x / WARP_SIZE] = value;
    }
    __syncthreads();
    double total = 0.0;
    if (threadIdx.x == 0) {
        for (int warp = 0; warp < WARPS; warp++) {
            total += scratch[warp];
        }
    }
    return total;
}

}  // namespace fireq
