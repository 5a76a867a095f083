/*
 * f32_rope
 *
 * Computes   of row t of qkv = [q heads | k heads | v heads], at position t: Q and K rotated, K times k_smooth and Q
 *            divided by it, V as it is, each to a matrix of its own
 * Operands   name       dtype   shape                                      layout / alignment   lives in
 *            qkv        f32     [n_tokens, (n_heads + 2 n_kv) * head_dim]  contiguous           activations
 *            cos, sin   f32     [positions, head_dim / 2]                  contiguous           weights
 *            k_smooth   f32     [n_kv, head_dim]                           or null              weights
 *            query      f32     [n_tokens, n_heads * head_dim]             contiguous           activations
 *            key        f32     [n_tokens, n_kv * head_dim]                contiguous           activations
 *            value      f32     [n_tokens, n_kv * head_dim]                contiguous           activations
 * Numerics   float32, a rounding each
 * Work       grid.x tokens, grid.y heads of q, k and v; a thread per rotated pair
 * Pipeline   none
 * Smem map   none
 * Barriers   none
 * Requires   head_dim even, n_heads a multiple of n_kv
 * Not for    serving: rope_append_kv
 * Launcher   io.fireq.kernels.reference.FloatLayers      Oracle  io.fireq.kernels.reference.FloatLayersOracle
 * Notes      none
 */
#pragma once

#include "fireq/common/math.cuh"

namespace fireq {

template <class Config>
__global__ void __launch_bounds__(Config::THREADS)
    f32_rope(const float* __restrict__ qkv, const float* __restrict__ cos, const float* __restrict__ sin,
             const float* __restrict__ k_smooth, float* __restrict__ query, float* __restrict__ key,
             float* __restrict__ value, int n_heads, int n_kv, int head_dim) {
    const i64 token = blockIdx.x;
    const int head = blockIdx.y;
    const int half = head_dim / 2;
    const float* in = qkv + token * (n_heads + 2 * n_kv) * head_dim + head * head_dim;
    const bool is_query = head < n_heads;
    const bool is_key = !is_query && head < n_heads + n_kv;
    const int kv_head = is_query ? head / (n_heads / n_kv) : (head - n_heads) % n_kv;
    float* out = is_query ? query + (token * n_heads + head) * head_dim
                          : (is_key ? key : value) + (token * n_kv + kv_head) * head_dim;
    for (int i = threadIdx.x; i < half; i += Config::THREADS) {
        float low = in[i];
        float high = in[half + i];
        if (is_query || is_key) {
            const float c = cos[token * half + i];
            const float s = sin[token * half + i];
            const float rotated = low * c - high * s;
            high = high * c + low * s;
            low = rotated;
            if (k_smooth != nullptr) {
                const float low_scale = k_smooth[kv_head * head_dim + i];
                const float high_scale = k_smooth[kv_head * head_dim + half + i];
                low = is_key ? low * low_scale : low / low_scale;
                high = is_key ? high * high_scale : high / high_scale;
            }
        }
        out[i] = low;
        out[half + i] = high;
    }
}

}  // namespace fireq
