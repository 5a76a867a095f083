/*
 * scaled_gather
 *
 * Computes   out[i,j] = f32(in[r(i), c(j)] * row_factor[i] * column_factor[j]),
 *            r(i) = row_of[i], or i * row_step without it;  c(j) = column_of[j], or j without it
 * Operands   name            dtype   shape             layout / alignment          lives in
 *            in              f32     any rows          rows in_stride apart        any
 *            out             f32     [rows, columns]   rows out_stride apart       any
 *            row_of          i32     [rows]            null for every row_step-th
 *            column_of       i32     [columns]         null for the same
 *            row_factor      f64     [rows]            null for 1
 *            column_factor   f64     [columns]         null for 1
 * Numerics   products in float64, one rounding
 * Work       grid.x runs of THREADS columns, grid.y rows, rows grid.y apart
 * Pipeline   none
 * Smem map   none
 * Barriers   none
 * Requires   in and out do not overlap, unless they are the same and nothing is gathered
 * Not for    large transpositions
 * Launcher   io.fireq.kernels.linalg.MatrixOps      Oracle  io.fireq.kernels.linalg.MatrixOracle
 * Notes      none
 */
#pragma once

#include "fireq/common/math.cuh"

namespace fireq {

template <class Config>
__global__ void __launch_bounds__(Config::THREADS)
    scaled_gather(const float* in, float* out, const i32* __restrict__ row_of, const i32* __restrict__ column_of,
                  const double* __restrict__ row_factor, const double* __restrict__ column_factor, int rows,
                  int columns, int in_stride, int out_stride, int row_step) {
    const int j = blockIdx.x * Config::THREADS + threadIdx.x;
    if (j >= columns) {
        return;
    }
    const int column = column_of == nullptr ? j : column_of[j];
    const double factor = column_factor == nullptr ? 1.0 : column_factor[j];
    for (int i = blockIdx.y; i < rows; i += gridDim.y) {
        const i64 row = row_of == nullptr ? i64(i) * row_step : row_of[i];
        const double value = double(in[row * in_stride + column]) * (row_factor == nullptr ? 1.0 : row_factor[i]);
        out[i64(i) * out_stride + j] = float(value * factor);
    }
}

}  // namespace fireq
