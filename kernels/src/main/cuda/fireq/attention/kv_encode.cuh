// The two INT4 formats of K and V: real = scale * (code - zero) with integers 0..15.
#pragma once

#include "fireq/common/math.cuh"
#include "fireq/quant/e4m3.cuh"

namespace fireq {

__device__ __forceinline__ float clamp_to_code(float x) { return fminf(fmaxf(x, 0.0f), 15.0f); }

// Scale and zero of one group whose extremes are known, as stored.
template <bool SYMMETRIC>
__device__ __forceinline__ ScaleZero kv_scale_zero(float min, float max) {
    if constexpr (SYMMETRIC) {
        const float absmax = fmaxf(fmaxf(fabsf(min), fabsf(max)), 1e-5f);
        const float scale = fmaxf(round_to_e4m3(absmax / 7.0f), E4M3_MIN_SUBNORMAL);
        return ScaleZero{to_f16(scale), to_f16(8.0f)};
    } else {
        // Half a step of the range is left out, a quarter at each end.
        const float low = fminf(min, 0.0f);
        const float high = fmaxf(max, 0.0f);
        const float rounded = to_float(to_f16((high - low) / 15.5f));
        const float scale = rounded == 0.0f ? 1.0f : rounded;
        return ScaleZero{to_f16(scale), to_f16(clamp_to_code(rintf(7.5f - (high + low) / (2.0f * scale))))};
    }
}

// Codes of one group, clamp(rint(x / scale) + zero, 0, 15). Rounding and conversion are one addition: around 3 * 2^22 the
// floats are the integers, so that a sum's bits count up with rint(x / scale), and go on upwards for larger quotients.
struct KvEncoder {
    int offset;

    static __device__ __forceinline__ KvEncoder of(float zero) {
        const int start = __float_as_int(INTEGERS);
        return KvEncoder{__float_as_int(zero + INTEGERS) - start - start};
    }

    // The code of x, given x / scale; 0 for NaN. A quotient below LOWEST has code 0, and would have a sum below 0.
    __device__ __forceinline__ int encode(float quotient) const {
        const int bits = __float_as_int(fmaxf(quotient, LOWEST) + INTEGERS);
        return max(min(bits + offset, 15), 0);
    }

  private:
    static constexpr float INTEGERS = 12582912.0f;
    static constexpr float LOWEST = -32.0f;
};

// Puts a code below those of a word, in one instruction; the compiler makes a shift and an OR of it.
__device__ __forceinline__ u32 push_code(u32 codes, int code) {
    u32 result;
    asm("mad.lo.u32 %0, %1, 16, %2;" : "=r"(result) : "r"(codes), "r"(code));
    return result;
}

}  // namespace fireq
