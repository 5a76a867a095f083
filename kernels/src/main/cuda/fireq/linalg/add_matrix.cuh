/*
 * add_matrix
 *
 * Computes   to[i] = to[i] + from[i]
 * Operands   name   dtype   shape             layout / alignment   lives in
 *            to     f32     [rows, columns]   contiguous           any
 *            from   f32     [rows, columns]   contiguous           any
 * Numerics   float32, one rounding
 * Work       grid.x runs of THREADS elements
 * Pipeline   none
 * Smem map   none
 * Barriers   none
 * Requires   nothing
 * Not for    sums of products: f32_gemm adds to its result
 * Launcher   io.fireq.kernels.linalg.MatrixOps      Oracle  io.fireq.kernels.linalg.MatrixOracle
 * Notes      none
 */
#pragma once

#include "fireq/common/math.cuh"

namespace fireq {

template <class Config>
__global__ void __launch_bounds__(Config::THREADS)
    add_matrix(float* __restrict__ to, const float* __restrict__ from, int rows, int columns) {
    const i64 i = i64(blockIdx.x) * Config::THREADS + threadIdx.x;
    if (i < i64(rows) * columns) {
        to[i] += from[i];
    }
}

}  // namespace fireq
