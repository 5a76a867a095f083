// Matrix multiply of one warp: D[16, 8] = A[16, 16] * B[16, 8] + D, A and B half, D float. With g = lane / 4 and
// q = lane % 4 a lane holds
//
//     A  four pairs: (row g, k 2q ..), (row g + 8, k 2q ..), (row g, k 2q + 8 ..), (row g + 8, k 2q + 8 ..)
//     B  two pairs:  (k 2q .., column g), (k 2q + 8 .., column g)
//     D  (row g, columns 2q and 2q + 1), (row g + 8, the same columns)
#pragma once

#include "fireq/common/types.cuh"

namespace fireq {

__device__ __forceinline__ void mma_f16_m16n8k16(float (&d)[4], u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

// Transposes an 8x8 matrix of 16-bit elements whose lane holds the pair (row g, columns 2q ..).
__device__ __forceinline__ u32 transpose_8x8(u32 pair) {
    u32 transposed;
    asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(transposed) : "r"(pair));
    return transposed;
}

}  // namespace fireq
