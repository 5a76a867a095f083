// Fixed-width integers and storage formats. NVRTC sees no standard headers, so the names are made here.
#pragma once

namespace fireq {

using u8 = unsigned char;
using u16 = unsigned short;
using u32 = unsigned int;
using u64 = unsigned long long;
using i32 = int;
using i64 = long long;

// Storage only: arithmetic is float, conversions are in ptx/cvt.cuh.
struct bf16 {
    u16 bits;
};
struct f16 {
    u16 bits;
};
struct e4m3 {
    u8 bits;
};

// How one group of a K or V vector reads back: real = scale * (code - zero) with an integer zero, 0..15.
struct alignas(4) ScaleZero {
    f16 scale;
    f16 zero;
};

// N neighbours that are loaded and stored as one access.
template <class T, int N>
struct alignas(sizeof(T) * N) Packed {
    T at[N];
};

// A TMA descriptor, passed by value as a __grid_constant__ parameter.
struct alignas(64) TensorMap {
    u64 opaque[16];
};

static_assert(sizeof(u64) == 8 && sizeof(ScaleZero) == 4 && sizeof(TensorMap) == 128, "sizes are part of the launch ABI");

}  // namespace fireq
