// Conversions between float and the storage formats. Rounding is to nearest even; e4m3 saturates at 448.
#pragma once

#include "fireq/common/types.cuh"

namespace fireq {

__device__ __forceinline__ float to_float(bf16 x) {
    return __uint_as_float(u32(x.bits) << 16);
}

__device__ __forceinline__ bf16 to_bf16(float x) {
    bf16 y;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
    return y;
}

// Two floats as two bf16; `low` becomes the one at the lower address.
__device__ __forceinline__ u32 to_bf16x2(float low, float high) {
    u32 y;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(y) : "f"(high), "f"(low));
    return y;
}

__device__ __forceinline__ float to_float(f16 x) {
    float y;
    asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x.bits));
    return y;
}

__device__ __forceinline__ f16 to_f16(float x) {
    f16 y;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
    return y;
}

// Two floats as two bytes; `low` becomes the byte at the lower address.
__device__ __forceinline__ u16 to_e4m3x2(float low, float high) {
    u16 y;
    asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(y) : "f"(high), "f"(low));
    return y;
}

// e4m3(values * scale), the byte of value0 lowest.
__device__ __forceinline__ u32 to_e4m3x4(float value0, float value1, float value2, float value3, float scale) {
    return u32(to_e4m3x2(value0 * scale, value1 * scale)) | u32(to_e4m3x2(value2 * scale, value3 * scale)) << 16;
}

__device__ __forceinline__ e4m3 to_e4m3(float x) {
    return e4m3{u8(to_e4m3x2(x, 0.0f) & 0xff)};
}

// Two bytes as two halves, exactly; the byte at the lower address becomes the low half.
__device__ __forceinline__ u32 e4m3x2_to_f16x2(u16 x) {
    u32 y;
    asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(y) : "h"(x));
    return y;
}

// The two bytes at the lower and at the higher address of four, likewise. The conversion reads either half of a register;
// a shift would be an instruction more.
__device__ __forceinline__ u32 low_e4m3x2_to_f16x2(u32 x) {
    u32 y;
    asm("{\n"
        ".reg .b16 low, high;\n"
        "mov.b32 {low, high}, %1;\n"
        "cvt.rn.f16x2.e4m3x2 %0, low;\n"
        "}"
        : "=r"(y)
        : "r"(x));
    return y;
}

__device__ __forceinline__ u32 high_e4m3x2_to_f16x2(u32 x) {
    u32 y;
    asm("{\n"
        ".reg .b16 low, high;\n"
        "mov.b32 {low, high}, %1;\n"
        "cvt.rn.f16x2.e4m3x2 %0, high;\n"
        "}"
        : "=r"(y)
        : "r"(x));
    return y;
}

__device__ __forceinline__ float to_float(e4m3 x) {
    return to_float(f16{u16(e4m3x2_to_f16x2(x.bits) & 0xffff)});
}

}  // namespace fireq
