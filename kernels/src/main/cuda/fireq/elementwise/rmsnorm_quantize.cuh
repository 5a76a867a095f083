/*
 * rmsnorm_quantize
 *
 * Computes   y[t,:] = x[t,:] * weight / sqrt(mean(x[t,:]^2) + epsilon);  out_scale[t] = absmax(y[t,:]) / 448, or 1;
 *            out[t,:] = e4m3(y[t,:] / out_scale[t])
 * Operands   name       dtype   shape              layout / alignment             lives in
 *            x          bf16    [n_rows, width]    row-major, VECTOR elements     activations
 *            weight     f32     [width]            VECTOR elements                weights
 *            out        e4m3    [n_rows, width]    row-major, VECTOR elements     activations
 *            out_scale  f32     [n_rows]           contiguous                     activations
 *            rows       i32     [n_rows]           row of x for each row of out;  step inputs
 *                                                  null: the same row
 * Numerics   float32; the sum of squares in the order of the threads, everything else element by element, so a code
 *            differs from the oracle's by at most one e4m3 step, where y / scale is close to a tie
 * Work       CTAs take rows grid.x apart; a thread keeps VECTORS vectors of a row in registers, row_cache.cuh, and those
 *            of the weight if they are few
 * Pipeline   the next row is loaded while one is worked on
 * Smem map   0  8 * WARPS  two floats per warp, reduction
 * Barriers   0 (__syncthreads)
 * Requires   width % VECTOR == 0 (launcher picks VECTOR)
 * Not for    rows whose squares overflow float32: the result is then 0 or NaN, as in the definition
 * Launcher   io.fireq.kernels.elementwise.RmsNormQuantize      Oracle  io.fireq.kernels.elementwise.RmsNormQuantizeOracle
 * Notes      none
 */
#pragma once

#include "fireq/common/math.cuh"
#include "fireq/elementwise/row_cache.cuh"
#include "fireq/ptx/griddep.cuh"
#include "fireq/quant/e4m3.cuh"

namespace fireq {

template <class Config>
__global__ void __launch_bounds__(Config::THREADS)
    rmsnorm_quantize(const bf16* __restrict__ x, const float* __restrict__ weight, const i32* __restrict__ rows,
                     e4m3* __restrict__ out, float* __restrict__ out_scale, int n_rows,
                     int width, float epsilon) {
    constexpr int THREADS = Config::THREADS;
    constexpr int VECTOR = Config::VECTOR;
    constexpr int WEIGHTS_KEPT = Config::VECTORS * VECTOR <= 32 ? Config::VECTORS : 0;
    __shared__ float scratch[2 * CtaShape<THREADS>::WARPS];

    allow_next_kernel();
    const float inv_width = 1.0f / float(width);
    const RowCache<float, THREADS, VECTOR, WEIGHTS_KEPT> weights(weight, width);
    const auto load = [&](int row) {
        const i64 source = rows == nullptr ? row : rows[row];
        return RowCache<bf16, THREADS, VECTOR, Config::VECTORS>(x + source * width, width);
    };
    wait_for_previous_kernel_behind(weights.some_bits());
    auto next = load(blockIdx.x);
    for (int row = blockIdx.x; row < n_rows; row += gridDim.x) {
        const auto cache = next;
        if (row + gridDim.x < n_rows) {
            next = load(row + gridDim.x);
        }
        // Division by the norm keeps the order, so that it can wait until the maximum is known.
        float squares = 0.0f;
        float absmax = 0.0f;
        cache.each_with(weights, [&](int, const Neighbours<bf16, VECTOR>& v, const Neighbours<float, VECTOR>& w) {
#pragma unroll
            for (int j = 0; j < VECTOR; j++) {
                const float f = v[j];
                squares = fmaf(f, f, squares);
                absmax = fmaxf(absmax, fabsf(f * w[j]));
            }
        });
        cta_reduce_both<THREADS>(squares, absmax, scratch, Sum(), Max());
        const float norm = sqrtf(divide(squares, float(width), inv_width) + epsilon);
        const float inv_norm = 1.0f / norm;
        const RowScale scale = RowScale::of(divide(absmax, norm, inv_norm));

        e4m3* codes = out + i64(row) * width;
        cache.each_with(weights, [&](int i, const Neighbours<bf16, VECTOR>& v, const Neighbours<float, VECTOR>& w) {
            float y[VECTOR];
#pragma unroll
            for (int j = 0; j < VECTOR; j++) {
                y[j] = divide(v[j] * w[j], norm, inv_norm);
            }
            scale.store(y, codes + i * VECTOR);
        });
        if (threadIdx.x == 0) {
            out_scale[row] = scale.scale;
        }
    }
}

}  // namespace fireq
