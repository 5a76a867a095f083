/*
 * row_absmax
 *
 * Computes   out[i] = max_j |a[i,j]|
 * Operands   name   dtype   shape             layout / alignment   lives in
 *            a      f32     [rows, columns]   contiguous           any
 *            out    f32     [rows]            contiguous           workspace
 * Numerics   exact; NaN counts as 0
 * Work       a CTA per row
 * Pipeline   none
 * Smem map   0  4 * WARPS   a maximum per warp
 * Barriers   0 (__syncthreads)
 * Requires   nothing
 * Not for    finding values that are not finite
 * Launcher   io.fireq.kernels.linalg.MatrixOps      Oracle  io.fireq.kernels.linalg.MatrixOracle
 * Notes      none
 */
#pragma once

#include "fireq/common/math.cuh"

namespace fireq {

template <class Config>
__global__ void __launch_bounds__(Config::THREADS)
    row_absmax(const float* __restrict__ a, float* __restrict__ out, int columns) {
    __shared__ float scratch[CtaShape<Config::THREADS>::WARPS];
    const i64 row = i64(blockIdx.x) * columns;
    float largest = 0.0f;
    for (int j = threadIdx.x; j < columns; j += Config::THREADS) {
        largest = fmaxf(largest, fabsf(a[row + j]));
    }
    largest = cta_reduce<Config::THREADS>(largest, scratch, Max());
    if (threadIdx.x == 0) {
        out[blockIdx.x] = largest;
    }
}

}  // namespace fireq
