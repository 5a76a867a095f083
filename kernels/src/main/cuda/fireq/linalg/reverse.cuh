/*
 * reverse
 *
 * Computes   out[i] = in[size - 1 - i]: of a matrix, rows and columns counted from the end
 * Operands   name   dtype   shape             layout / alignment   lives in
 *            in     f32     [rows, columns]   contiguous           workspace
 *            out    f32     [rows, columns]   contiguous           workspace
 * Numerics   exact
 * Work       grid.x runs of THREADS elements
 * Pipeline   none
 * Smem map   none
 * Barriers   none
 * Requires   in and out do not overlap
 * Not for    anything in place
 * Launcher   io.fireq.kernels.linalg.InverseCholesky      Oracle  io.fireq.kernels.linalg.MatrixOracle
 * Notes      none
 */
#pragma once

#include "fireq/common/math.cuh"

namespace fireq {

template <class Config>
__global__ void __launch_bounds__(Config::THREADS)
    reverse(const float* __restrict__ in, float* __restrict__ out, int rows, int columns) {
    const i64 size = i64(rows) * columns;
    const i64 i = i64(blockIdx.x) * Config::THREADS + threadIdx.x;
    if (i < size) {
        out[i] = in[size - 1 - i];
    }
}

}  // namespace fireq
