/*
 * rounding_errors
 *
 * Computes   out[row,0] = sum_j (w[row,j] - row_scale[row] * rounded[row,j])^2
 *            out[row,1] = how many w[row,j] / row_scale[row] lie outside of e4m3(levels * sigma) of their group
 * Operands   name        dtype   shape                 layout / alignment   lives in
 *            w           f32     [n, k]                contiguous           workspace
 *            rounded     f32     [n, k]                contiguous           workspace
 *            row_scale   f32     [n]                   contiguous           workspace
 *            scales      e4m3    [n, k / group_size]   sigma                workspace
 *            levels      f32     [16]                  ascending            workspace
 *            out         f64     [n, 2]                contiguous           workspace
 * Numerics   float64 sums in the order of threads and warps; the comparison in float32
 * Work       a CTA per row
 * Pipeline   none
 * Smem map   0  8 * WARPS   a sum per warp
 * Barriers   0 (__syncthreads)
 * Requires   group_size divides k
 * Not for    errors of outputs: those need the second moments
 * Launcher   io.fireq.kernels.linalg.GroupRounding      Oracle  io.fireq.kernels.linalg.GroupRoundingOracle
 * Notes      none
 */
#pragma once

#include "fireq/linalg/int4_grid.cuh"
#include "fireq/linalg/row_sum.cuh"

namespace fireq {

template <class Config>
__global__ void __launch_bounds__(Config::THREADS)
    rounding_errors(const float* __restrict__ w, const float* __restrict__ rounded,
                    const float* __restrict__ row_scale, const e4m3* __restrict__ scales,
                    const float* __restrict__ levels, double* __restrict__ out, int k, int group_size) {
    __shared__ double scratch[CtaShape<Config::THREADS>::WARPS];
    const i64 row = blockIdx.x;
    const float scale = row_scale[row];
    double squares = 0.0;
    double clipped = 0.0;
    for (int j = threadIdx.x; j < k; j += Config::THREADS) {
        const float weight = w[row * k + j];
        const double error = double(weight) - double(scale) * rounded[row * k + j];
        squares += error * error;
        const float sigma = to_float(scales[row * (k / group_size) + j / group_size]);
        const float x = weight / scale;
        if (x > round_to_e4m3(levels[INT4_LEVELS - 1] * sigma) || x < round_to_e4m3(levels[0] * sigma)) {
            clipped += 1.0;
        }
    }
    squares = cta_sum<Config::THREADS>(squares, scratch);
    clipped = cta_sum<Config::THREADS>(clipped, scratch);
    if (threadIdx.x == 0) {
        out[2 * row] = squares;
        out[2 * row + 1] = clipped;
    }
}

}  // namespace fireq
