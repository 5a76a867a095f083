/*
 * row_dots
 *
 * Computes   out[i] = sum_j a[i,j] * (factor * b[i,j] - c[i,j]); without c: sum_j a[i,j] * factor * b[i,j]
 * Operands   name   dtype   shape             layout / alignment   lives in
 *            a      f32     [rows, columns]   contiguous           any
 *            b      f32     [rows, columns]   contiguous           any
 *            c      f32     [rows, columns]   contiguous; or null  any
 *            out    f64     [rows]            contiguous           workspace
 * Numerics   float64; the sum in the order of threads and warps, the same on every run
 * Work       a CTA per row
 * Pipeline   none
 * Smem map   0  8 * WARPS   a sum per warp
 * Barriers   0 (__syncthreads)
 * Requires   nothing
 * Not for    products with many columns of another matrix: f32_gemm
 * Launcher   io.fireq.kernels.linalg.MatrixOps      Oracle  io.fireq.kernels.linalg.MatrixOracle
 * Notes      none
 */
#pragma once

#include "fireq/linalg/row_sum.cuh"

namespace fireq {

template <class Config>
__global__ void __launch_bounds__(Config::THREADS)
    row_dots(const float* __restrict__ a, const float* __restrict__ b, const float* __restrict__ c,
             double* __restrict__ out, int columns, float factor) {
    __shared__ double scratch[CtaShape<Config::THREADS>::WARPS];
    const i64 row = i64(blockIdx.x) * columns;
    double sum = 0.0;
    for (int j = threadIdx.x; j < columns; j += Config::THREADS) {
        const double other = double(factor) * b[row + j] - (c == nullptr ? 0.0 : double(c[row + j]));
        sum += double(a[row + j]) * other;
    }
    sum = cta_sum<Config::THREADS>(sum, scratch);
    if (threadIdx.x == 0) {
        out[blockIdx.x] = sum;
    }
}

}  // namespace fireq
