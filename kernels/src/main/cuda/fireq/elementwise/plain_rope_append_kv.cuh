/*
 * plain_rope_append_kv
 *
 * Computes   for each token t at position p, from qkv[t,:] = [q heads | k heads | v heads]:
 *              rotate(x)[i]        = x[i] * cos[p,i] - x[i + head_dim/2] * sin[p,i]          i < head_dim/2
 *              rotate(x)[i + half] = x[i + half] * cos[p,i] + x[i] * sin[p,i]
 *              q: e4m3 rows of H(rotate(q) / k_smooth), one scale per head
 *              k: INT4 groups of H(rotate(k) * k_smooth), into the slot of t     v: INT4 groups of v, likewise
 *              H: the Hadamard transform of each run of hadamard_block channels, 0 for none
 * Operands   name         dtype      shape                                   layout / alignment   lives in
 *            qkv          bf16       [n_tokens, (n_heads + 2 n_kv_heads) * head_dim]   row-major  activations
 *            positions    i32        [n_tokens]                              contiguous           step inputs
 *            slots        i32        [n_tokens]                              contiguous           step inputs
 *            cos, sin     f32        [max_position, head_dim / 2]            row-major            weights
 *            k_smooth     f32        [n_kv_heads, head_dim]                  null: all ones       weights
 *            query        e4m3       [n_tokens, n_heads, head_dim]           row-major            activations
 *            query_scale  f32        [n_tokens, n_heads]                     row-major            activations
 *            k_*, v_*     KvLayout   see attention/paged_kv.cuh                                   KV cache
 * Numerics   float32 without contraction, so rotated values, scales, zeros and codes are the oracle's bit for bit.
 *            Formats of the cache: attention/kv_encode.cuh
 * Work       one CTA per token; one warp per head, warps stride over the n_heads + 2 n_kv_heads heads
 * Pipeline   none
 * Smem map   0  4 * head_dim * WARPS  the head that each warp works on (dynamic)
 * Barriers   none besides __syncwarp
 * Requires   head_dim even, group_size and hadamard_block, a power of two, divide head_dim (launcher checks); slots within the cache and pairwise
 *            different, positions within the table (engine checks)
 * Not for    speed: heads of 64 or 128 channels in one group are rope_append_kv's; models without rotary embedding
 * Launcher   io.fireq.kernels.elementwise.RopeAppendKv      Oracle  io.fireq.kernels.elementwise.RopeAppendKvOracle
 * Notes      none
 */
#pragma once

#include "fireq/attention/kv_encode.cuh"
#include "fireq/attention/paged_kv.cuh"
#include "fireq/common/math.cuh"
#include "fireq/ptx/griddep.cuh"
#include "fireq/quant/e4m3.cuh"

namespace fireq {

// One warp stores one head's vector, which it holds in shared memory and may overwrite.
template <bool SYMMETRIC>
__device__ __forceinline__ void append_head(float* head, const KvLayout& layout, i64 row, u8* codes, ScaleZero* params) {
    const int lane = threadIdx.x % WARP_SIZE;
    for (int group = 0; group < layout.groups(); group++) {
        float* values = head + group * layout.group_size;
        float min = Min::identity();
        float max = Max::identity();
        for (int c = lane; c < layout.group_size; c += WARP_SIZE) {
            min = fminf(min, values[c]);
            max = fmaxf(max, values[c]);
        }
        const ScaleZero param = kv_scale_zero<SYMMETRIC>(warp_reduce(min, Min()), warp_reduce(max, Max()));
        const float scale = to_float(param.scale);
        const KvEncoder encoder = KvEncoder::of(to_float(param.zero));
        for (int c = lane; c < layout.group_size; c += WARP_SIZE) {
            values[c] = float(encoder.encode(values[c] / scale));
        }
        if (lane == 0) {
            params[row * layout.groups() + group] = param;
        }
    }
    __syncwarp();
    for (int pair = lane; pair < layout.row_bytes(); pair += WARP_SIZE) {
        const int low = int(head[2 * pair]);
        const int high = 2 * pair + 1 < layout.head_dim ? int(head[2 * pair + 1]) : 0;
        codes[row * layout.row_bytes() + pair] = u8(low | high << 4);
    }
}

// One warp turns its head in place, each run of `block` channels by itself: butterflies of distance 1, 2, 4, ...
__device__ __forceinline__ void turn_head(float* head, int head_dim, int block, float factor) {
    const int lane = threadIdx.x % WARP_SIZE;
    for (int distance = 1; distance < block; distance *= 2) {
        for (int pair = lane; pair < head_dim / 2; pair += WARP_SIZE) {
            const int i = pair / distance * 2 * distance + pair % distance;
            const float a = head[i];
            const float b = head[i + distance];
            head[i] = a + b;
            head[i + distance] = a - b;
        }
        __syncwarp();
    }
    for (int c = lane; c < head_dim; c += WARP_SIZE) {
        head[c] *= factor;
    }
    __syncwarp();
}

template <class Config>
__global__ void __launch_bounds__(Config::THREADS)
    plain_rope_append_kv(const bf16* __restrict__ qkv, const i32* __restrict__ positions, const i32* __restrict__ slots,
                   const float* __restrict__ cos, const float* __restrict__ sin, const float* __restrict__ k_smooth,
                   e4m3* __restrict__ query, float* __restrict__ query_scale, u8* __restrict__ k_codes,
                   ScaleZero* __restrict__ k_params, u8* __restrict__ v_codes, ScaleZero* __restrict__ v_params,
                   int n_heads, int n_kv_heads, int head_dim, int group_size, int kv_block_size, int hadamard_block,
                   float hadamard_factor) {
    constexpr int WARPS = CtaShape<Config::THREADS>::WARPS;
    extern __shared__ float heads[];

    allow_next_kernel();
    wait_for_previous_kernel();
    const int token = blockIdx.x;
    const int warp = threadIdx.x / WARP_SIZE;
    const int lane = threadIdx.x % WARP_SIZE;
    const int half = head_dim / 2;
    const int all_heads = n_heads + 2 * n_kv_heads;
    const float* cos_row = cos + i64(positions[token]) * half;
    const float* sin_row = sin + i64(positions[token]) * half;
    const KvLayout layout{n_kv_heads, head_dim, group_size, kv_block_size};
    const int kv_block = slots[token] / kv_block_size;
    const int offset = slots[token] % kv_block_size;
    float* head = heads + warp * head_dim;

    for (int h = warp; h < all_heads; h += WARPS) {
        const bf16* x = qkv + (i64(token) * all_heads + h) * head_dim;
        __syncwarp();
        if (h >= n_heads + n_kv_heads) {
            const int kv_head = h - n_heads - n_kv_heads;
            for (int c = lane; c < head_dim; c += WARP_SIZE) {
                head[c] = to_float(x[c]);
            }
            __syncwarp();
            append_head<Config::SYMMETRIC>(head, layout, layout.row(kv_block, offset, kv_head), v_codes, v_params);
            continue;
        }
        const bool is_query = h < n_heads;
        const int kv_head = is_query ? h / (n_heads / n_kv_heads) : h - n_heads;
        for (int i = lane; i < half; i += WARP_SIZE) {
            const float first = to_float(x[i]);
            const float second = to_float(x[i + half]);
            float low = first * cos_row[i] - second * sin_row[i];
            float high = second * cos_row[i] + first * sin_row[i];
            if (k_smooth != nullptr) {
                const float s_low = k_smooth[kv_head * head_dim + i];
                const float s_high = k_smooth[kv_head * head_dim + i + half];
                low = is_query ? low / s_low : low * s_low;
                high = is_query ? high / s_high : high * s_high;
            }
            head[i] = low;
            head[i + half] = high;
        }
        __syncwarp();
        if (hadamard_block > 0) {
            turn_head(head, head_dim, hadamard_block, hadamard_factor);
        }
        if (!is_query) {
            append_head<Config::SYMMETRIC>(head, layout, layout.row(kv_block, offset, kv_head), k_codes, k_params);
            continue;
        }
        float absmax = 0.0f;
        for (int c = lane; c < head_dim; c += WARP_SIZE) {
            absmax = fmaxf(absmax, fabsf(head[c]));
        }
        const RowScale scale = RowScale::of(warp_reduce(absmax, Max()));
        for (int c = lane; c < head_dim; c += WARP_SIZE) {
            query[(i64(token) * n_heads + h) * head_dim + c] = scale.quantize(head[c]);
        }
        if (lane == 0) {
            query_scale[i64(token) * n_heads + h] = scale.scale;
        }
    }
}

}  // namespace fireq
