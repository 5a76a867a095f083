// Scores of a warpgroup's tile to probabilities in e4m3, with running statistics. A lane of the warpgroup holds two
// rows, see ptx/wgmma.cuh; the four lanes of a quad share them.
//
// A score is kept in units of the key, x = k_scale * (q . codes) + k_centre * sum(q); the row's factor, query scale and
// log2(e) / sqrt(head_dim), enters with the exponent. Probabilities are 2^(x * factor - reference) with
//
//     reference = max(x) * factor + max over the tiles so far of log2(v_scale / 448)
//
// so that probability * v_scale, which the tensor core multiplies, is at most 448. Sums over probabilities, over
// probability * v_centre and the accumulated output share this unit, and it cancels in their quotient.
#pragma once

#include "fireq/attention/kv_tile.cuh"
#include "fireq/ptx/cvt.cuh"

namespace fireq {

__device__ __forceinline__ float exp2_approx(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

template <int TOKENS>
struct OnlineSoftmax {
    static constexpr int SCORES = TOKENS / 2;
    static constexpr int FRAGMENTS = TOKENS / 32;

    float factor[2];
    float query_sum[2];
    int limit[2];  // last position that the row may see
    float max[2];
    float bound;
    float reference[2];
    float sum[2];   // of the columns of this lane
    float zero[2];  // likewise

    __device__ __forceinline__ void reset() {
        bound = Max::identity();
#pragma unroll
        for (int h = 0; h < 2; h++) {
            max[h] = Max::identity();
            reference[h] = Max::identity();
            sum[h] = 0.0f;
            zero[h] = 0.0f;
        }
    }

    // `k_pairs` and `v_pairs` are those of the tile plus lane % 4. `rescale` is what the output accumulated before this
    // tile must be multiplied with. Column 0 of `scores` is at `first_position`.
    __device__ __forceinline__ void tile(float (&scores)[SCORES], const float4* k_pairs, const float4* v_pairs,
                                         float tile_bound, int first_position, bool masked,
                                         u32 (&probs)[FRAGMENTS][4], float (&rescale)[2]) {
#pragma unroll
        for (int i = 0; i < SCORES / 4; i++) {
            const float4 k = k_pairs[4 * i];
#pragma unroll
            for (int h = 0; h < 2; h++) {
                scores[4 * i + 2 * h] = fmaf(k.z, query_sum[h], k.x * scores[4 * i + 2 * h]);
                scores[4 * i + 2 * h + 1] = fmaf(k.w, query_sum[h], k.y * scores[4 * i + 2 * h + 1]);
            }
        }
        if (masked) {
            const int column = first_position + threadIdx.x % 4 * 2;
#pragma unroll
            for (int i = 0; i < SCORES; i++) {
                const int h = i / 2 % 2;
                scores[i] = column + i / 4 * 8 + i % 2 <= limit[h] ? scores[i] : Max::identity();
            }
        }
        bound = fmaxf(bound, tile_bound);
#pragma unroll
        for (int h = 0; h < 2; h++) {
            // Two chains, so that the maximum is not one long dependency.
            float even = max[h];
            float odd = Max::identity();
#pragma unroll
            for (int i = 0; i < SCORES / 4; i++) {
                even = fmaxf(even, scores[4 * i + 2 * h]);
                odd = fmaxf(odd, scores[4 * i + 2 * h + 1]);
            }
            even = fmaxf(even, odd);
            even = fmaxf(even, __shfl_xor_sync(0xffffffffu, even, 1));
            max[h] = fmaxf(even, __shfl_xor_sync(0xffffffffu, even, 2));
            const float next = fmaf(max[h], factor[h], bound);
            rescale[h] = exp2_approx(reference[h] - next);
            reference[h] = next;
            sum[h] *= rescale[h];
            zero[h] *= rescale[h];
        }
#pragma unroll
        for (int i = 0; i < SCORES / 4; i++) {
            const float4 v = v_pairs[4 * i];
#pragma unroll
            for (int h = 0; h < 2; h++) {
                const float p0 = exp2_approx(fmaf(scores[4 * i + 2 * h], factor[h], -reference[h]));
                const float p1 = exp2_approx(fmaf(scores[4 * i + 2 * h + 1], factor[h], -reference[h]));
                sum[h] += p0;
                sum[h] += p1;
                zero[h] = fmaf(p0, v.z, zero[h]);
                zero[h] = fmaf(p1, v.w, zero[h]);
                const u32 pair = to_e4m3x2(p0 * v.x, p1 * v.y);
                u32& fragment = probs[i / 4][i % 4 / 2 * 2 + h];
                fragment = i % 2 == 0 ? pair : fragment | pair << 16;
            }
        }
    }

    // Adds up what the lanes of a quad have.
    __device__ __forceinline__ void finish() {
#pragma unroll
        for (int h = 0; h < 2; h++) {
#pragma unroll
            for (int distance = 1; distance <= 2; distance *= 2) {
                sum[h] += __shfl_xor_sync(0xffffffffu, sum[h], distance);
                zero[h] += __shfl_xor_sync(0xffffffffu, zero[h], distance);
            }
        }
    }
};

}  // namespace fireq
