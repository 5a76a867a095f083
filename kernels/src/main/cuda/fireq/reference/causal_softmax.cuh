/*
 * causal_softmax
 *
 * Computes   p[h,i,j] = exp(s[h,i,j] - max) / sum over j <= i, and 0 for j > i, in place
 * Operands   name   dtype   shape                            layout / alignment   lives in
 *            s      f32     [n_heads, n_tokens, n_tokens]    contiguous; s[h,i,j] with j > i may hold anything   scratch
 * Numerics   float32; sums in the order of the threads. Error of expf: 2 ulp
 * Work       grid.x tokens i, grid.y heads; a CTA per row
 * Pipeline   none
 * Smem map   0  4 * WARPS   reduction
 * Barriers   0 (__syncthreads)
 * Requires   nothing
 * Not for    long windows: the scores of all heads are in memory
 * Launcher   io.fireq.kernels.reference.FloatLayers      Oracle  io.fireq.kernels.reference.FloatLayersOracle
 * Notes      none
 */
#pragma once

#include "fireq/common/math.cuh"

namespace fireq {

template <class Config>
__global__ void __launch_bounds__(Config::THREADS) causal_softmax(float* __restrict__ s, int n_tokens) {
    __shared__ float scratch[CtaShape<Config::THREADS>::WARPS];
    const int i = blockIdx.x;
    float* row = s + (i64(blockIdx.y) * n_tokens + i) * n_tokens;
    float largest = Max::identity();
    for (int j = threadIdx.x; j <= i; j += Config::THREADS) {
        largest = fmaxf(largest, row[j]);
    }
    largest = cta_reduce<Config::THREADS>(largest, scratch, Max());
    float sum = 0.0f;
    for (int j = threadIdx.x; j <= i; j += Config::THREADS) {
        row[j] = expf(row[j] - largest);
        sum += row[j];
    }
    sum = cta_reduce<Config::THREADS>(sum, scratch, Sum());
    for (int j = threadIdx.x; j < n_tokens; j += Config::THREADS) {
        row[j] = j <= i ? row[j] / sum : 0.0f;
    }
}

}  // namespace fireq
