// Scores of a warpgroup's tile to probabilities in e4m3, with running statistics. A lane of the warpgroup holds two
// rows, see ptx/wgmma.cuh; the four lanes of a quad share them.
//
// A score is kept in units of the key, x = k_scale * (q . codes); the row's factor, query scale and
// log2(e) / sqrt(head_dim), enters with the exponent. Probabilities are 2^(x * factor - reference) where reference is at
// least
//
//     max(x) * factor + log2(largest v_scale / 448)      over the tile
//
// so that probability * v_scale, which the tensor core multiplies, is at most 448. A reference that falls short is raised
// by REFERENCE_HEADROOM more than it must be, so that it holds for the tiles to come: nearly always a vote finds that it
// does, the lanes of a quad need not agree on their maximum, and what was accumulated need not be rescaled. e4m3 keeps its
// relative precision over 2^14; the room takes three powers of it, from weights far below the largest. The sum of
// probabilities and the accumulated output share this unit, and it cancels in their quotient.
#pragma once

#include "fireq/attention/kv_tile.cuh"
#include "fireq/ptx/approx.cuh"
#include "fireq/ptx/cvt.cuh"

namespace fireq {

// By how much, in powers of two, a reference that is raised exceeds the least that would do.
constexpr float REFERENCE_HEADROOM = 3.0f;

template <int TOKENS>
struct OnlineSoftmax {
    static constexpr int SCORES = TOKENS / 2;
    static constexpr int FRAGMENTS = TOKENS / 32;

    float factor[2];
    int limit[2];  // last position that the row may see
    float reference[2];
    float sum[2];  // of the columns of this lane

    __device__ __forceinline__ void reset() {
#pragma unroll
        for (int h = 0; h < 2; h++) {
            reference[h] = Max::identity();
            sum[h] = 0.0f;
        }
    }

    // Scales of this lane's columns in order; `scales` are those of the tile plus lane % 4.
    struct Scales {
        float at[SCORES / 2];

        __device__ __forceinline__ void load(const float4* scales) {
#pragma unroll
            for (int i = 0; i < SCORES / 8; i++) {
                const float4 four = scales[4 * i];
                at[4 * i] = four.x;
                at[4 * i + 1] = four.y;
                at[4 * i + 2] = four.z;
                at[4 * i + 3] = four.w;
            }
        }
    };

    // Turns scores into probability * v_scale, in place. `v_scales` are those of the tile plus lane % 4. True if the warp's
    // references were raised: then `rescale` is what the output accumulated before this tile must be multiplied with.
    // Column 0 of `scores` is at `first_position`.
    __device__ __forceinline__ bool tile(float (&scores)[SCORES], const Scales& keys, const float4* v_scales, float bound,
                                         int first_position, bool masked, float (&rescale)[2]) {
#pragma unroll
        for (int i = 0; i < SCORES / 4; i++) {
#pragma unroll
            for (int h = 0; h < 2; h++) {
                scores[4 * i + 2 * h] *= keys.at[2 * i];
                scores[4 * i + 2 * h + 1] *= keys.at[2 * i + 1];
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
        Scales values;
        values.load(v_scales);
        float top[2];
#pragma unroll
        for (int h = 0; h < 2; h++) {
            // Two chains, so that the maximum is not one long dependency.
            float even = scores[2 * h];
            float odd = scores[2 * h + 1];
#pragma unroll
            for (int i = 1; i < SCORES / 4; i++) {
                even = fmaxf(even, scores[4 * i + 2 * h]);
                odd = fmaxf(odd, scores[4 * i + 2 * h + 1]);
            }
            top[h] = fmaxf(even, odd);
        }
        const bool raised = __any_sync(0xffffffffu, fmaf(top[0], factor[0], bound) > reference[0] ||
                                                        fmaf(top[1], factor[1], bound) > reference[1]);
        if (raised) {
#pragma unroll
            for (int h = 0; h < 2; h++) {
                float max = fmaxf(top[h], __shfl_xor_sync(0xffffffffu, top[h], 1));
                max = fmaxf(max, __shfl_xor_sync(0xffffffffu, max, 2));
                const float least = fmaf(max, factor[h], bound);
                const float next = least > reference[h] ? least + REFERENCE_HEADROOM : reference[h];
                rescale[h] = exp2_approx(reference[h] - next);
                reference[h] = next;
                sum[h] *= rescale[h];
            }
        }
        float odd_sum[2] = {0.0f, 0.0f};
#pragma unroll
        for (int i = 0; i < SCORES / 4; i++) {
#pragma unroll
            for (int h = 0; h < 2; h++) {
                const float p0 = exp2_approx(fmaf(scores[4 * i + 2 * h], factor[h], -reference[h]));
                const float p1 = exp2_approx(fmaf(scores[4 * i + 2 * h + 1], factor[h], -reference[h]));
                sum[h] += p0;
                odd_sum[h] += p1;
                scores[4 * i + 2 * h] = p0 * values.at[2 * i];
                scores[4 * i + 2 * h + 1] = p1 * values.at[2 * i + 1];
            }
        }
        sum[0] += odd_sum[0];
        sum[1] += odd_sum[1];
        return raised;
    }

    // What `tile` left in `scores` as the A fragments of the next product.
    static __device__ __forceinline__ void pack(const float (&scores)[SCORES], u32 (&probs)[FRAGMENTS][4]) {
#pragma unroll
        for (int i = 0; i < SCORES / 4; i += 2) {
#pragma unroll
            for (int h = 0; h < 2; h++) {
                probs[i / 4][i % 4 / 2 * 2 + h] =
                    to_e4m3x2(scores[4 * i + 2 * h], scores[4 * i + 2 * h + 1]) |
                    u32(to_e4m3x2(scores[4 * i + 4 + 2 * h], scores[4 * i + 4 + 2 * h + 1])) << 16;
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
            }
        }
    }
};

}  // namespace fireq
