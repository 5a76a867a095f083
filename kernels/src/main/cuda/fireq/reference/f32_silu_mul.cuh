/*
 * f32_silu_mul
 *
 * Computes   out[t,i] = silu(gate_up[t,i]) * gate_up[t, ffn_size + i],   silu(g) = g / (1 + exp(-g))
 * Operands   name      dtype   shape                      layout / alignment   lives in
 *            gate_up   f32     [n_tokens, 2 * ffn_size]   contiguous           scratch
 *            out       f32     [n_tokens, ffn_size]       contiguous           activations
 * Numerics   float32. Error of expf: 2 ulp
 * Work       grid.x tokens, grid.y runs of THREADS channels
 * Pipeline   none
 * Smem map   none
 * Barriers   none
 * Requires   nothing
 * Not for    serving: the epilogue of the linear layer
 * Launcher   io.fireq.kernels.reference.FloatLayers      Oracle  io.fireq.kernels.reference.FloatLayersOracle
 * Notes      none
 */
#pragma once

#include "fireq/common/math.cuh"

namespace fireq {

template <class Config>
__global__ void __launch_bounds__(Config::THREADS)
    f32_silu_mul(const float* __restrict__ gate_up, float* __restrict__ out, int ffn_size) {
    const i64 token = blockIdx.x;
    const int i = blockIdx.y * Config::THREADS + threadIdx.x;
    if (i < ffn_size) {
        const float gate = gate_up[token * 2 * ffn_size + i];
        out[token * ffn_size + i] = silu(gate) * gate_up[token * 2 * ffn_size + ffn_size + i];
    }
}

}  // namespace fireq
