// Words of eight kernel-order codes through quant/int4.cuh, with the table of its own scale.
#pragma once

#include "fireq/quant/int4.cuh"

namespace fireq {

template <class Config>
__global__ void __launch_bounds__(128)
    int4_decode(const u32* words, const float* scales, const float* magnitudes, u32* out, int count) {
    float local[8];
#pragma unroll
    for (int i = 0; i < 8; i++) {
        local[i] = magnitudes[i];
    }
    const int i = blockIdx.x * 128 + threadIdx.x;
    if (i < count) {
        Int4Table<Config::SIGN_MAGNITUDE>::of_scale(scales[i], local).decode(words[i], out[2 * i], out[2 * i + 1]);
    }
}

}  // namespace fireq
