/*
 * f32_rmsnorm
 *
 * Computes   out[t,:] = x[t,:] * weight / sqrt(mean(x[t,:]^2) + epsilon)
 * Operands   name     dtype   shape               layout / alignment   lives in
 *            x        f32     [n_tokens, width]   contiguous           activations
 *            weight   f32     [width]             contiguous           weights
 *            out      f32     [n_tokens, width]   contiguous           activations
 * Numerics   float32; the sum of squares in the order of the threads
 * Work       a CTA per token
 * Pipeline   none
 * Smem map   0  4 * WARPS   reduction
 * Barriers   0 (__syncthreads)
 * Requires   nothing
 * Not for    serving: rmsnorm_quantize
 * Launcher   io.fireq.kernels.reference.FloatLayers      Oracle  io.fireq.kernels.reference.FloatLayersOracle
 * Notes      none
 */
#pragma once

#include "fireq/common/math.cuh"

namespace fireq {

template <class Config>
__global__ void __launch_bounds__(Config::THREADS)
    f32_rmsnorm(const float* __restrict__ x, const float* __restrict__ weight, float* __restrict__ out, int width,
                float epsilon) {
    __shared__ float scratch[CtaShape<Config::THREADS>::WARPS];
    const i64 row = i64(blockIdx.x) * width;
    float squares = 0.0f;
    for (int i = threadIdx.x; i < width; i += Config::THREADS) {
        squares = fmaf(x[row + i], x[row + i], squares);
    }
    squares = cta_reduce<Config::THREADS>(squares, scratch, Sum());
    const float norm = sqrtf(squares / float(width) + epsilon);
    for (int i = threadIdx.x; i < width; i += Config::THREADS) {
        out[row + i] = x[row + i] * weight[i] / norm;
    }
}

}  // namespace fireq
