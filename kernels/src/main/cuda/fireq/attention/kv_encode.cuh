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

// The code of x, given x / scale.
__device__ __forceinline__ int kv_encode(float quotient, float zero) {
    return int(clamp_to_code(rintf(quotient) + zero));
}

}  // namespace fireq
