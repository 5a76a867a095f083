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
 * Work       one CTA per row; threads stride over the row three times (squares, absmax, codes), hits in L1
 * Pipeline   none
 * Smem map   0  4 * WARPS  one float per warp, reduction
 * Barriers   0 (__syncthreads)
 * Requires   width % VECTOR == 0 (launcher picks VECTOR)
 * Not for    rows whose squares overflow float32: the result is then 0 or NaN, as in the definition
 * Launcher   io.fireq.kernels.elementwise.RmsNormQuantize      Oracle  io.fireq.kernels.elementwise.RmsNormQuantizeOracle
 * Notes      none
 */
#pragma once

#include "fireq/common/math.cuh"
#include "fireq/ptx/griddep.cuh"
#include "fireq/quant/e4m3.cuh"

namespace fireq {

template <class Config>
__global__ void __launch_bounds__(Config::THREADS)
    rmsnorm_quantize(const bf16* __restrict__ x, const float* __restrict__ weight, const i32* __restrict__ rows,
                     e4m3* __restrict__ out, float* __restrict__ out_scale, int width, float epsilon) {
    constexpr int VECTOR = Config::VECTOR;
    __shared__ float scratch[CtaShape<Config::THREADS>::WARPS];

    wait_for_previous_kernel();
    allow_next_kernel();
    const int row = blockIdx.x;
    const i64 source = rows == nullptr ? row : rows[row];
    const auto* values = reinterpret_cast<const Packed<bf16, VECTOR>*>(x + source * width);
    const auto* weights = reinterpret_cast<const Packed<float, VECTOR>*>(weight);

    float squares = 0.0f;
    for (int i = threadIdx.x; i < width / VECTOR; i += Config::THREADS) {
        const Packed<bf16, VECTOR> v = values[i];
#pragma unroll
        for (int j = 0; j < VECTOR; j++) {
            const float f = to_float(v.at[j]);
            squares = fmaf(f, f, squares);
        }
    }
    const float mean_square = cta_reduce<Config::THREADS>(squares, scratch, Sum()) / float(width);
    const float norm = sqrtf(mean_square + epsilon);

    float absmax = 0.0f;
    for (int i = threadIdx.x; i < width / VECTOR; i += Config::THREADS) {
        const Packed<bf16, VECTOR> v = values[i];
        const Packed<float, VECTOR> w = weights[i];
#pragma unroll
        for (int j = 0; j < VECTOR; j++) {
            absmax = fmaxf(absmax, fabsf(to_float(v.at[j]) * w.at[j] / norm));
        }
    }
    const RowScale scale = RowScale::of(cta_reduce<Config::THREADS>(absmax, scratch, Max()));

    auto* codes = reinterpret_cast<Packed<e4m3, VECTOR>*>(out + i64(row) * width);
    for (int i = threadIdx.x; i < width / VECTOR; i += Config::THREADS) {
        const Packed<bf16, VECTOR> v = values[i];
        const Packed<float, VECTOR> w = weights[i];
        Packed<e4m3, VECTOR> c;
#pragma unroll
        for (int j = 0; j < VECTOR; j++) {
            c.at[j] = scale.quantize(to_float(v.at[j]) * w.at[j] / norm);
        }
        codes[i] = c;
    }
    if (threadIdx.x == 0) {
        out_scale[row] = scale.scale;
    }
}

}  // namespace fireq
