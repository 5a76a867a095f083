// Row quantization: scale = absmax / 448 (1 for a row of zeros), stored = e4m3(x * (1 / scale)).
#pragma once

#include "fireq/ptx/cvt.cuh"

namespace fireq {

constexpr float E4M3_MAX = 448.0f;
constexpr float E4M3_MIN_SUBNORMAL = 0.001953125f;

struct RowScale {
    float scale;
    float inv_scale;

    static __device__ __forceinline__ RowScale of(float absmax) {
        const float scale = absmax == 0.0f ? 1.0f : absmax / E4M3_MAX;
        return RowScale{scale, 1.0f / scale};
    }

    __device__ __forceinline__ e4m3 quantize(float x) const { return to_e4m3(x * inv_scale); }
};

__device__ __forceinline__ float round_to_e4m3(float x) {
    return to_float(to_e4m3(x));
}

}  // namespace fireq
