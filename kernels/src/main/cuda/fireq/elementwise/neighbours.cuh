// Neighbours of a row as they lie in memory, one access of T[N], read as floats. bf16 stay words of two until then: as an
// array of bf16 the compiler splits a loaded word in halves at once, and so waits for a load that is meant to be in flight.
#pragma once

#include "fireq/ptx/cvt.cuh"

namespace fireq {

template <class T, int N>
struct Neighbours;

template <int N>
struct alignas(sizeof(float) * N) Neighbours<float, N> {
    float values[N];

    __device__ __forceinline__ float operator[](int i) const { return values[i]; }

    // A word that is known once all have been loaded.
    __device__ __forceinline__ u32 some_bits() const {
        u32 bits = 0;
#pragma unroll
        for (int i = 0; i < N; i += 4) {
            bits ^= __float_as_uint(values[i]);
        }
        return bits;
    }
};

template <int N>
struct alignas(sizeof(bf16) * N) Neighbours<bf16, N> {
    static_assert(N % 2 == 0, "two to a word");
    u32 words[N / 2];

    __device__ __forceinline__ float operator[](int i) const {
        const u32 word = words[i / 2];
        return __uint_as_float(i % 2 == 0 ? word << 16 : word & 0xffff0000u);
    }
};

template <>
struct Neighbours<bf16, 1> {
    bf16 value;

    __device__ __forceinline__ float operator[](int) const { return to_float(value); }
};

}  // namespace fireq
