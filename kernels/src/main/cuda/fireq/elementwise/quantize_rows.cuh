/*
 * quantize_rows
 *
 * Computes   out_scale[t] = absmax(x[t,:]) / 448, or 1;  out[t,:] = e4m3(x[t,:] / out_scale[t])
 * Operands   name       dtype   shape              layout / alignment             lives in
 *            x          bf16    [n_rows, width]    row-major, VECTOR elements     activations
 *            out        e4m3    [n_rows, width]    row-major, VECTOR elements     activations
 *            out_scale  f32     [n_rows]           contiguous                     activations
 * Numerics   float32, multiplied by 1 / scale; exact against the oracle, which rounds in the same places
 * Work       one CTA per row; a thread keeps VECTORS vectors of it in registers, row_cache.cuh
 * Pipeline   none
 * Smem map   0  4 * WARPS  one float per warp, reduction
 * Barriers   0 (__syncthreads)
 * Requires   width % VECTOR == 0 (launcher picks VECTOR)
 * Not for    rows with NaN: their codes are NaN and the scale is that of the other values
 * Launcher   io.fireq.kernels.elementwise.QuantizeRows      Oracle  io.fireq.kernels.elementwise.QuantizeRowsOracle
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
    quantize_rows(const bf16* __restrict__ x, e4m3* __restrict__ out, float* __restrict__ out_scale, int width) {
    constexpr int VECTOR = Config::VECTOR;
    __shared__ float scratch[CtaShape<Config::THREADS>::WARPS];

    allow_next_kernel();
    wait_for_previous_kernel();
    const int row = blockIdx.x;
    const RowCache<bf16, Config::THREADS, VECTOR, Config::VECTORS> cache(x + i64(row) * width, width);
    float absmax = 0.0f;
    cache.each([&](int, const Neighbours<bf16, VECTOR>& v) {
#pragma unroll
        for (int j = 0; j < VECTOR; j++) {
            absmax = fmaxf(absmax, fabsf(v[j]));
        }
    });
    const RowScale scale = RowScale::of(cta_reduce<Config::THREADS>(absmax, scratch, Max()));

    e4m3* codes = out + i64(row) * width;
    cache.each([&](int i, const Neighbours<bf16, VECTOR>& v) {
        float y[VECTOR];
#pragma unroll
        for (int j = 0; j < VECTOR; j++) {
            y[j] = v[j];
        }
        scale.store(y, codes + i * VECTOR);
    });
    if (threadIdx.x == 0) {
        out_scale[row] = scale.scale;
    }
}

}  // namespace fireq
