/*
 * plain_paged_attention
 *
 * Computes   for each token t at position p and head h, over the positions s = 0..p of its sequence (group sums over g):
 *              score[s] = query_scale / sqrt(head_dim) * sum_g k_scale[s,g] * sum_c q[c] * (k_code[s,c] - k_zero[s,g])
 *              prob[s]  = exp(score[s] - max)
 *              a[s]     = e4m3 row quantization of prob[s] * v_scale[s,g] over all s, scale a_scale[g]
 *              out[c]   = a_scale[g] * sum_s a[s] * (v_code[s,c] - v_zero[s,g]) / sum_s prob[s]
 * Operands   name          dtype      shape                              layout / alignment          lives in
 *            query         e4m3       [n_tokens, n_heads, head_dim]      row-major                   activations
 *            query_scale   f32        [n_tokens, n_heads]                row-major                   activations
 *            k_*, v_*      KvLayout   see attention/paged_kv.cuh                                     KV cache
 *            positions     i32        [n_tokens]                         contiguous                  step inputs
 *            cu_seqlens    i32        [n_seqs + 1]                       contiguous                  step inputs
 *            block_tables  i32        [n_seqs, max_kv_blocks]            row-major                   step inputs
 *            out           bf16       [n_tokens, n_heads, head_dim]      row-major                   activations
 * Numerics   float32. Max and a_scale are those of the whole row, as in the definition, not of a block: scores are
 *            computed three times instead. A probability near an e4m3 tie may round the other way than the oracle's
 *            because expf is 2 ulp off; sums run in the order of positions within a chunk of THREADS
 * Work       grid.x tokens, grid.y heads; one CTA per (token, head). Threads split positions in the passes over scores
 *            and channels in the sum over V
 * Pipeline   none
 * Smem map   offset in floats; G = head_dim / group_size, all dynamic
 *            0          head_dim       query, decoded
 *            +          head_dim       sum over V
 *            +          G              absmax of a, then a_scale, per group
 *            +          G * THREADS    a of a chunk
 *            +          G * THREADS    v_zero of a chunk
 *            +          THREADS        KV row of each position of a chunk, i64 (8-byte aligned by the launcher)
 *            static     4 * WARPS      reduction
 * Barriers   0 (__syncthreads)
 * Requires   group_size divides head_dim, n_kv_heads divides n_heads, shared memory suffices (launcher checks);
 *            positions of a token inside its block table (engine checks)
 * Not for    speed: this is the definition that the fast kernels are compared with, and the fallback for odd shapes
 * Launcher   io.fireq.kernels.attention.PlainPagedAttention      Oracle  io.fireq.kernels.attention.AttentionOracle
 * Notes      none
 */
#pragma once

#include "fireq/attention/paged_kv.cuh"
#include "fireq/common/math.cuh"
#include "fireq/ptx/griddep.cuh"
#include "fireq/quant/e4m3.cuh"

namespace fireq {

// Sequence that owns a token row: the last s with cu_seqlens[s] <= token. Empty sequences own none.
__device__ __forceinline__ int sequence_of(int token, const i32* cu_seqlens, int n_seqs) {
    int low = 0;
    int high = n_seqs;
    while (high - low > 1) {
        const int middle = (low + high) / 2;
        if (cu_seqlens[middle] <= token) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

// Keys as seen by one query head.
struct ScoreRow {
    const float* query;
    const u8* k_codes;
    const ScaleZero* k_params;
    float scale;

    __device__ __forceinline__ float at(const KvLayout& layout, i64 row) const {
        const u8* codes = k_codes + row * layout.row_bytes();
        const ScaleZero* params = k_params + row * layout.groups();
        float total = 0.0f;
        for (int group = 0; group < layout.groups(); group++) {
            const float zero = to_float(params[group].zero);
            float dot = 0.0f;
            for (int i = 0; i < layout.group_size; i++) {
                const int c = group * layout.group_size + i;
                dot = fmaf(query[c], float(kv_code(codes, c)) - zero, dot);
            }
            total += to_float(params[group].scale) * dot;
        }
        return scale * total;
    }
};

template <class Config>
__global__ void __launch_bounds__(Config::THREADS)
    plain_paged_attention(const e4m3* __restrict__ query, const float* __restrict__ query_scale,
                          const u8* __restrict__ k_codes, const ScaleZero* __restrict__ k_params,
                          const u8* __restrict__ v_codes, const ScaleZero* __restrict__ v_params,
                          const i32* __restrict__ positions, const i32* __restrict__ cu_seqlens,
                          const i32* __restrict__ block_tables, bf16* __restrict__ out, int n_seqs, int n_heads,
                          int n_kv_heads, int head_dim, int group_size, int kv_block_size, int max_kv_blocks) {
    constexpr int THREADS = Config::THREADS;
    extern __shared__ i64 dynamic_smem[];
    __shared__ float scratch[CtaShape<THREADS>::WARPS];

    const KvLayout layout{n_kv_heads, head_dim, group_size, kv_block_size};
    const int groups = layout.groups();
    i64* chunk_row = dynamic_smem;
    float* q = reinterpret_cast<float*>(chunk_row + THREADS);
    float* v_sum = q + head_dim;
    float* a_scale = v_sum + head_dim;
    float* chunk_a = a_scale + groups;
    float* chunk_zero = chunk_a + groups * THREADS;

    allow_next_kernel();
    wait_for_previous_kernel();
    const int token = blockIdx.x;
    const int head = blockIdx.y;
    const int kv_head = head / (n_heads / n_kv_heads);
    const int kv_len = positions[token] + 1;
    const i32* block_table = block_tables + i64(sequence_of(token, cu_seqlens, n_seqs)) * max_kv_blocks;
    const i64 out_row = i64(token) * n_heads + head;

    for (int c = threadIdx.x; c < head_dim; c += THREADS) {
        q[c] = to_float(query[out_row * head_dim + c]);
        v_sum[c] = 0.0f;
    }
    for (int g = threadIdx.x; g < groups; g += THREADS) {
        a_scale[g] = 0.0f;
    }
    __syncthreads();
    const ScoreRow scores{q, k_codes, k_params, query_scale[out_row] / sqrtf(float(head_dim))};
    const auto kv_row = [&](int s) { return layout.row(block_table[s / kv_block_size], s % kv_block_size, kv_head); };

    float max = Max::identity();
    for (int s = threadIdx.x; s < kv_len; s += THREADS) {
        max = fmaxf(max, scores.at(layout, kv_row(s)));
    }
    max = cta_reduce<THREADS>(max, scratch, Max());

    float prob_sum = 0.0f;
    for (int s = threadIdx.x; s < kv_len; s += THREADS) {
        const i64 row = kv_row(s);
        const float prob = expf(scores.at(layout, row) - max);
        prob_sum += prob;
        for (int g = 0; g < groups; g++) {
            // Non-negative floats order like their bits, so an integer maximum is a float maximum.
            const float magnitude = fabsf(prob * to_float(v_params[row * groups + g].scale));
            atomicMax(reinterpret_cast<int*>(a_scale + g), __float_as_int(magnitude));
        }
    }
    prob_sum = cta_reduce<THREADS>(prob_sum, scratch, Sum());
    for (int g = threadIdx.x; g < groups; g += THREADS) {
        a_scale[g] = RowScale::of(a_scale[g]).scale;
    }

    for (int first = 0; first < kv_len; first += THREADS) {
        const int count = min(THREADS, kv_len - first);
        __syncthreads();
        if (threadIdx.x < count) {
            const i64 row = kv_row(first + threadIdx.x);
            const float prob = expf(scores.at(layout, row) - max);
            chunk_row[threadIdx.x] = row;
            for (int g = 0; g < groups; g++) {
                const ScaleZero param = v_params[row * groups + g];
                const float inv_scale = 1.0f / a_scale[g];
                chunk_a[g * THREADS + threadIdx.x] = round_to_e4m3(prob * to_float(param.scale) * inv_scale);
                chunk_zero[g * THREADS + threadIdx.x] = to_float(param.zero);
            }
        }
        __syncthreads();
        for (int c = threadIdx.x; c < head_dim; c += THREADS) {
            const int g = c / group_size;
            float sum = 0.0f;
            for (int i = 0; i < count; i++) {
                const int code = kv_code(v_codes + chunk_row[i] * layout.row_bytes(), c);
                sum = fmaf(chunk_a[g * THREADS + i], float(code) - chunk_zero[g * THREADS + i], sum);
            }
            v_sum[c] += sum;
        }
    }
    for (int c = threadIdx.x; c < head_dim; c += THREADS) {
        out[out_row * head_dim + c] = to_bf16(a_scale[c / group_size] * v_sum[c] / prob_sum);
    }
}

}  // namespace fireq
