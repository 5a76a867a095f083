/*
 * weight_residual
 *
 * Computes   out[row,j] = w[row, c(j)] / row_scale[row] - rounded[row, c(j)], without rounded the quotient alone;
 *            c(j) = order[j], or j without it
 * Operands   name        dtype   shape    layout / alignment   lives in
 *            w           f32     [n, k]   contiguous           workspace
 *            row_scale   f32     [n]      contiguous           workspace
 *            rounded     f32     [n, k]   contiguous; or null  workspace
 *            order       i32     [k]      or null              workspace
 *            out         f32     [n, k]   contiguous           workspace
 * Numerics   float32, a rounding each
 * Work       grid.x runs of THREADS columns, grid.y rows, rows grid.y apart
 * Pipeline   none
 * Smem map   none
 * Barriers   none
 * Requires   out overlaps nothing
 * Not for    anything else
 * Launcher   io.fireq.kernels.linalg.GroupRounding      Oracle  io.fireq.kernels.linalg.GroupRoundingOracle
 * Notes      none
 */
#pragma once

#include "fireq/common/math.cuh"

namespace fireq {

template <class Config>
__global__ void __launch_bounds__(Config::THREADS)
    weight_residual(const float* __restrict__ w, const float* __restrict__ row_scale,
                    const float* __restrict__ rounded, const i32* __restrict__ order, float* __restrict__ out, int n,
                    int k) {
    const int j = blockIdx.x * Config::THREADS + threadIdx.x;
    if (j >= k) {
        return;
    }
    const int column = order == nullptr ? j : order[j];
    for (i64 row = blockIdx.y; row < n; row += gridDim.y) {
        const float scaled = w[row * k + column] / row_scale[row];
        out[row * k + j] = rounded == nullptr ? scaled : scaled - rounded[row * k + column];
    }
}

}  // namespace fireq
