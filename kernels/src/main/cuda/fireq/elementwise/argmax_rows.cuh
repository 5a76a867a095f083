/*
 * argmax_rows
 *
 * Computes   out[t] = the lowest i with x[t,i] = max(x[t,:]); -1 where x[t,:] holds a NaN or its maximum is infinite
 * Operands   name   dtype   shape              layout / alignment   lives in
 *            x      f32     [n_rows, width]    row-major            activations
 *            out    i32     [n_rows]           contiguous           step outputs
 * Numerics   exact: comparisons only, -0 and 0 are equal
 * Work       one CTA per row; threads stride over the row, the CTA reduces (value, index) pairs
 * Pipeline   none
 * Smem map   0  4 * WARPS  largest value of each warp
 *            +  4 * WARPS  its index; -1 where the warp met a NaN
 * Barriers   0 (__syncthreads)
 * Requires   width >= 1
 * Not for    sampling: a draw needs the other values too
 * Launcher   io.fireq.kernels.elementwise.ArgmaxRows      Oracle  io.fireq.kernels.elementwise.ArgmaxRowsOracle
 * Notes      none
 */
#pragma once

#include "fireq/common/math.cuh"
#include "fireq/ptx/griddep.cuh"

namespace fireq {

// The best of what was looked at; index -1 says that it held a NaN, and stays.
struct Best {
    float value;
    int index;

    __device__ __forceinline__ void take(float other_value, int other_index) {
        if (index < 0) {
            return;
        }
        const bool better = other_value > value || (other_value == value && other_index < index);
        if (better || other_index < 0) {
            value = other_value;
            index = other_index;
        }
    }
};

template <class Config>
__global__ void __launch_bounds__(Config::THREADS)
    argmax_rows(const float* __restrict__ x, i32* __restrict__ out, int width) {
    constexpr int WARPS = CtaShape<Config::THREADS>::WARPS;
    __shared__ float values[WARPS];
    __shared__ int indices[WARPS];

    wait_for_previous_kernel();
    allow_next_kernel();
    const float* row = x + i64(blockIdx.x) * width;
    Best best{Max::identity(), width};
    for (int i = threadIdx.x; i < width; i += Config::THREADS) {
        const float value = row[i];
        best.take(value, value == value ? i : -1);
    }
#pragma unroll
    for (int distance = WARP_SIZE / 2; distance > 0; distance /= 2) {
        const float value = __shfl_xor_sync(0xffffffffu, best.value, distance);
        const int index = __shfl_xor_sync(0xffffffffu, best.index, distance);
        best.take(value, index);
    }
    if (threadIdx.x % WARP_SIZE == 0) {
        values[threadIdx.x / WARP_SIZE] = best.value;
        indices[threadIdx.x / WARP_SIZE] = best.index;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        for (int warp = 1; warp < WARPS; warp++) {
            best.take(values[warp], indices[warp]);
        }
        const bool finite = fabsf(best.value) != -Max::identity();
        out[blockIdx.x] = finite ? best.index : -1;
    }
}

}  // namespace fireq
