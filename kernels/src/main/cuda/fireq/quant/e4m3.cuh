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

    // Stores N neighbours in one access, from words: the compiler takes pairs of bytes apart and puts them together again.
    template <int N>
    __device__ __forceinline__ void store(const float (&x)[N], e4m3* codes) const {
        if constexpr (N == 1) {
            *codes = quantize(x[0]);
        } else {
            static_assert(N % 4 == 0, "four codes to a word");
            Packed<u32, N / 4> words;
#pragma unroll
            for (int i = 0; i < N; i += 4) {
                words.at[i / 4] = to_e4m3x4(x[i], x[i + 1], x[i + 2], x[i + 3], inv_scale);
            }
            *reinterpret_cast<Packed<u32, N / 4>*>(codes) = words;
        }
    }
};

__device__ __forceinline__ float round_to_e4m3(float x) {
    return to_float(to_e4m3(x));
}

}  // namespace fireq
