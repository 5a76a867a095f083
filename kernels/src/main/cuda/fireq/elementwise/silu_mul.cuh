/*
 * silu_mul
 *
 * Computes   out[t,i] = bf16(silu(gate_up[t,i]) * gate_up[t, ffn_size + i]),   silu(g) = g / (1 + exp(-g))
 * Operands   name      dtype   shape                      layout / alignment             lives in
 *            gate_up   f32     [n_tokens, 2 * ffn_size]   row-major, VECTOR elements     workspace
 *            out       bf16    [n_tokens, ffn_size]       row-major, VECTOR elements     activations
 * Numerics   float32, one rounding; gate and up are the linear layer's unrounded results. Error of expf: 2 ulp, so a
 *            bf16 result differs from the oracle's by at most one step
 * Work       grid.x tokens, grid.y parts of a row; one vector per thread
 * Pipeline   none
 * Smem map   none
 * Barriers   none
 * Requires   ffn_size % VECTOR == 0 (launcher picks VECTOR)
 * Not for    bf16 gate and up: use the epilogue of the linear layer
 * Launcher   io.fireq.kernels.elementwise.SiluMul      Oracle  io.fireq.kernels.elementwise.SiluMulOracle
 * Notes      none
 */
#pragma once

#include "fireq/common/math.cuh"
#include "fireq/ptx/cvt.cuh"
#include "fireq/ptx/griddep.cuh"

namespace fireq {

template <class Config>
__global__ void __launch_bounds__(Config::THREADS)
    silu_mul(const float* __restrict__ gate_up, bf16* __restrict__ out, int ffn_size) {
    constexpr int VECTOR = Config::VECTOR;

    allow_next_kernel();
    wait_for_previous_kernel();
    const i64 token = blockIdx.x;
    const int i = blockIdx.y * Config::THREADS + threadIdx.x;
    if (i >= ffn_size / VECTOR) {
        return;
    }
    const auto* gates = reinterpret_cast<const Packed<float, VECTOR>*>(gate_up + token * 2 * ffn_size);
    const auto* ups = reinterpret_cast<const Packed<float, VECTOR>*>(gate_up + token * 2 * ffn_size + ffn_size);
    const Packed<float, VECTOR> gate = gates[i];
    const Packed<float, VECTOR> up = ups[i];
    Packed<bf16, VECTOR> product;
#pragma unroll
    for (int j = 0; j < VECTOR; j++) {
        product.at[j] = to_bf16(silu(gate.at[j]) * up.at[j]);
    }
    reinterpret_cast<Packed<bf16, VECTOR>*>(out + token * ffn_size)[i] = product;
}

}  // namespace fireq
