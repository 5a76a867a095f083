// 8x8 matrices of 16-bit elements between shared memory and a warp's fragments: lane l supplies the address of row
// l % 8 of matrix l / 8 (16 bytes, aligned); register i then holds matrix i.
#pragma once

#include "fireq/ptx/mbarrier.cuh"

namespace fireq {

__device__ __forceinline__ void ldmatrix_x2(u32 (&d)[2], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
                 : "=r"(d[0]), "=r"(d[1])
                 : "r"(smem_address(row))
                 : "memory");
}

__device__ __forceinline__ void ldmatrix_x4(u32 (&d)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
                 : "r"(smem_address(row))
                 : "memory");
}

// As ldmatrix_x4 with each matrix transposed.
__device__ __forceinline__ void ldmatrix_x4_trans(u32 (&d)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(d[0]), "=r"(d[1]), "=r"(d[2]), "=r"(d[3])
                 : "r"(smem_address(row))
                 : "memory");
}

__device__ __forceinline__ void stmatrix_x4(void* row, const u32 (&s)[4]) {
    asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(smem_address(row)), "r"(s[0]),
                 "r"(s[1]), "r"(s[2]), "r"(s[3])
                 : "memory");
}

__device__ __forceinline__ void stmatrix_x4_trans(void* row, const u32 (&s)[4]) {
    asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(smem_address(row)),
                 "r"(s[0]), "r"(s[1]), "r"(s[2]), "r"(s[3])
                 : "memory");
}

}  // namespace fireq
