// The arithmetic of a draw: the same integers on every machine. Weights are fixed-point numbers, so their sums do not depend
// on the order of addition; what goes into them is float32 without contraction, one rounding for each operation written.
#pragma once

#include "fireq/common/types.cuh"

namespace fireq {

// 64 random bits, a pure function of seed and index: SplitMix64's finalizer over a counter.
__device__ __forceinline__ u64 mix_bits(u64 z) {
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

__device__ __forceinline__ u64 random_bits(u64 seed, u64 index) {
    return mix_bits(mix_bits(seed) + (index + 1) * 0x9e3779b97f4a7c15ull);
}

// Orders logits: the larger a logit, the smaller this number; -0 and 0 are equal. No NaN.
__device__ __forceinline__ u32 descending_order(float logit) {
    const u32 bits = __float_as_uint(logit + 0.0f);
    return bits >> 31 ? bits : bits ^ 0x7fffffffu;
}

// The logit of an order.
__device__ __forceinline__ float logit_at(u32 order) {
    return __uint_as_float(order >> 31 ? order : order ^ 0x7fffffffu);
}

constexpr float WEIGHT_ONE = 1099511627776.0f;  // 2^40

// exp((logit - max) / temperature) in units of 2^-40, rounded down. 2^23 weights of 1 do not overflow their sum.
struct Weighting {
    float max;
    float scale;  // log2(e) / temperature

    static __device__ __forceinline__ Weighting of(float max, float temperature) {
        const float scale = float(1.4426950408889634 / double(temperature));
        return Weighting{max, fminf(scale, 3.4028235e38f)};
    }

    __device__ __forceinline__ u64 operator()(float logit) const {
        const float t = (logit - max) * scale;
        if (!(t >= -40.0f)) {
            return 0;
        }
        const float shifted = t + 12582912.0f;  // 1.5 * 2^23: the nearest integer, in the low bits
        const float f = t - (shifted - 12582912.0f);
        // 2^f by its Taylor series, |f| <= 1/2: off by 1.2e-7 at most, and 1 at 0.
        float p = 1.5403530e-4f;
        p = p * f + 1.3333558e-3f;
        p = p * f + 9.6181291e-3f;
        p = p * f + 5.5504109e-2f;
        p = p * f + 2.4022651e-1f;
        p = p * f + 6.9314718e-1f;
        p = p * f + 1.0f;
        const int exponent = __float_as_int(shifted) - 0x4b400000 + 40;
        return u64(p * __int_as_float((exponent + 127) << 23));
    }
};

// A weight relative to the largest.
__device__ __forceinline__ u64 weight_of_share(float share) {
    return u64(share * WEIGHT_ONE);
}

// Rounded down: `share` of `total`, the share being below 1.
__device__ __forceinline__ u64 share_of(u64 total, float share) {
    return __umul64hi(total, u64(share * 9223372036854775808.0f) << 1);
}

}  // namespace fireq
