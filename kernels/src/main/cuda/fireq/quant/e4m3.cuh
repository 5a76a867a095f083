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

    // Neighbours, two to a conversion.
    template <int N>
    __device__ __forceinline__ Packed<e4m3, N> quantize(const float (&x)[N]) const {
        Packed<e4m3, N> codes;
        if constexpr (N == 1) {
            codes.at[0] = quantize(x[0]);
        } else {
#pragma unroll
            for (int i = 0; i < N; i += 2) {
                const u16 pair = to_e4m3x2(x[i] * inv_scale, x[i + 1] * inv_scale);
                codes.at[i] = e4m3{u8(pair & 0xff)};
                codes.at[i + 1] = e4m3{u8(pair >> 8)};
            }
        }
        return codes;
    }
};

__device__ __forceinline__ float round_to_e4m3(float x) {
    return to_float(to_e4m3(x));
}

}  // namespace fireq
