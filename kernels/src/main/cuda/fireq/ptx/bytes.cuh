// Bytes of registers.
#pragma once

#include "fireq/common/types.cuh"

namespace fireq {

// Byte j of the result is byte n_j of the eight bytes (low, high), n_j being nibble j of the selector; with bit 3 of n_j
// set, its sign in every bit. Only the lower half of the selector counts, and, unlike in __byte_perm, all of its bits.
__device__ __forceinline__ u32 permute_bytes(u32 low, u32 high, u32 selector) {
    u32 result;
    asm("prmt.b32 %0, %1, %2, %3;" : "=r"(result) : "r"(low), "r"(high), "r"(selector));
    return result;
}

// All bits of each byte of x become its sign.
__device__ __forceinline__ u32 spread_signs(u32 x) {
    return permute_bytes(x, 0, 0xba98);
}

// x & MASK | INSERTED in one instruction; in C++ the compiler makes two of it, each with a constant.
template <u32 MASK, u32 INSERTED>
__device__ __forceinline__ u32 select_or(u32 x) {
    constexpr int AND_OR = (0xf0 & 0xcc) | 0xaa;
    u32 result;
    asm("lop3.b32 %0, %1, %2, %3, %4;" : "=r"(result) : "r"(x), "n"(MASK), "n"(INSERTED), "n"(AND_OR));
    return result;
}

}  // namespace fireq
