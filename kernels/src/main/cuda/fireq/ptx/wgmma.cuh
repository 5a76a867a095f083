// Warpgroup matrix multiply: D[64, N] += A[64, 32] * B[32, N], A and B e4m3, issued by the 128 threads of a warpgroup.
//
// SS reads A and B from shared memory, RS reads A from registers; both operands are k-major. Accumulators are float
// (N/2 registers per thread) or half (N/4 registers of two). Thread t of the warpgroup holds, for register pair i:
//
//     row    16 * (t / 32) + (t % 32) / 4 + 8 * (i % 2)
//     column 8 * (i / 2) + 2 * (t % 4) and the next one
//
// The A fragment of RS is four registers of four bytes: rows r and r + 8 with k = 4 * (t % 4) .., then the same rows with
// k + 16; r = 16 * (t / 32) + (t % 32) / 4.
#pragma once

#include "fireq/ptx/mbarrier.cuh"

namespace fireq {

// Orders register and shared-memory accesses of this warpgroup before its next wgmma.
__device__ __forceinline__ void wgmma_fence() {
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

__device__ __forceinline__ void wgmma_commit() {
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

// Until at most PENDING committed groups are in flight.
template <int PENDING>
__device__ __forceinline__ void wgmma_wait() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(PENDING) : "memory");
}

// Keeps the compiler from moving accesses of an accumulator across this point.
template <int COUNT>
__device__ __forceinline__ void wgmma_pin(float (&d)[COUNT]) {
#pragma unroll
    for (int i = 0; i < COUNT; i++) {
        asm volatile("" : "+f"(d[i])::"memory");
    }
}

template <int COUNT>
__device__ __forceinline__ void wgmma_pin(u32 (&d)[COUNT]) {
#pragma unroll
    for (int i = 0; i < COUNT; i++) {
        asm volatile("" : "+r"(d[i])::"memory");
    }
}

// Ends the life of an accumulator that the next wgmma overwrites: without it the compiler would keep the old values,
// which the instruction names as an input, in registers until then.
template <int COUNT>
__device__ __forceinline__ void wgmma_discard(float (&d)[COUNT]) {
#pragma unroll
    for (int i = 0; i < COUNT; i++) {
        asm volatile("" : "=f"(d[i]));
    }
}

// Swizzle of a shared-memory operand, in the descriptor's encoding.
enum class Swizzle : u64 { NONE = 0, B128 = 1, B64 = 2, B32 = 3 };

// Descriptor of a k-major operand whose rows of `row_bytes` (the swizzle's width) are stored one after another in groups
// of eight: the next group starts 8 * row_bytes further. The start of the tile is aligned to 8 * row_bytes.
__device__ __forceinline__ u64 wgmma_descriptor(const void* smem, Swizzle swizzle, u32 row_bytes) {
    constexpr u64 LEADING_UNUSED_WHEN_SWIZZLED = 1;
    const u64 address = (smem_address(smem) & 0x3ffff) >> 4;
    const u64 stride = (8 * row_bytes) >> 4;
    return address | LEADING_UNUSED_WHEN_SWIZZLED << 16 | stride << 32 | u64(swizzle) << 62;
}

// The descriptor for a place `bytes` further along k in the same swizzled rows. The address is in the lower half, and so
// the sum does not carry.
__device__ __forceinline__ u64 wgmma_advance(u64 descriptor, u32 bytes) {
    return (descriptor & 0xffffffff00000000) | u32(u32(descriptor) + (bytes >> 4));
}

template <int N>
struct WgmmaF32;  // float accumulators: ss, rs

template <int N>
struct WgmmaF16;  // half accumulators: ss, rs

// Operand text: registers %0 .. of the accumulator.
#define FIREQ_REGS_2 "%0, %1"
#define FIREQ_REGS_4 FIREQ_REGS_2 ", %2, %3"
#define FIREQ_REGS_8 \
    FIREQ_REGS_4 ", %4, %5, %6, %7"
#define FIREQ_REGS_16 \
    FIREQ_REGS_8 ", %8, %9, %10, %11, %12, %13, %14, %15"
#define FIREQ_REGS_32 \
    FIREQ_REGS_16 ", %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define FIREQ_REGS_64 \
    FIREQ_REGS_32 ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47" \
    ", %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define FIREQ_REGS_128 \
    FIREQ_REGS_64 ", %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79" \
    ", %80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95" \
    ", %96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111" \
    ", %112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"

#define FIREQ_F2(d, i) "+f"(d[i]), "+f"(d[i + 1])
#define FIREQ_F4(d, i) FIREQ_F2(d, i), FIREQ_F2(d, i + 2)
#define FIREQ_F8(d, i) FIREQ_F4(d, i), FIREQ_F4(d, i + 4)
#define FIREQ_F16(d, i) FIREQ_F8(d, i), FIREQ_F8(d, i + 8)
#define FIREQ_F32(d, i) FIREQ_F16(d, i), FIREQ_F16(d, i + 16)
#define FIREQ_F64(d, i) FIREQ_F32(d, i), FIREQ_F32(d, i + 32)
#define FIREQ_F128(d, i) FIREQ_F64(d, i), FIREQ_F64(d, i + 64)
#define FIREQ_R2(d, i) "+r"(d[i]), "+r"(d[i + 1])
#define FIREQ_R4(d, i) FIREQ_R2(d, i), FIREQ_R2(d, i + 2)
#define FIREQ_R8(d, i) FIREQ_R4(d, i), FIREQ_R4(d, i + 4)
#define FIREQ_R16(d, i) FIREQ_R8(d, i), FIREQ_R8(d, i + 8)
#define FIREQ_R32(d, i) FIREQ_R16(d, i), FIREQ_R16(d, i + 16)
#define FIREQ_R64(d, i) FIREQ_R32(d, i), FIREQ_R32(d, i + 32)

// P0 .. P5 number the operands after the accumulator.
#define FIREQ_WGMMA(STRUCT, N, FORMAT, TYPE, COUNT, OUTPUTS, P0, P1, P2, P3, P4, P5)                                   \
    template <>                                                                                                      \
    struct STRUCT<N> {                                                                                               \
        static constexpr int REGISTERS = COUNT;                                                                      \
        static __device__ __forceinline__ void ss(TYPE (&d)[COUNT], u64 a, u64 b, bool accumulate) {                 \
            asm volatile("{\n.reg .pred add;\nsetp.ne.b32 add, %" #P2 ", 0;\n"                                       \
                         "wgmma.mma_async.sync.aligned.m64n" #N "k32." FORMAT ".e4m3.e4m3 {" FIREQ_REGS_##COUNT      \
                         "}, %" #P0 ", %" #P1 ", add, 1, 1;\n}"                                                      \
                         : OUTPUTS                                                                                   \
                         : "l"(a), "l"(b), "r"(int(accumulate)));                                                    \
        }                                                                                                            \
        static __device__ __forceinline__ void rs(TYPE (&d)[COUNT], const u32 (&a)[4], u64 b, bool accumulate) {     \
            asm volatile("{\n.reg .pred add;\nsetp.ne.b32 add, %" #P5 ", 0;\n"                                       \
                         "wgmma.mma_async.sync.aligned.m64n" #N "k32." FORMAT ".e4m3.e4m3 {" FIREQ_REGS_##COUNT      \
                         "}, {%" #P0 ", %" #P1 ", %" #P2 ", %" #P3 "}, %" #P4 ", add, 1, 1;\n}"                      \
                         : OUTPUTS                                                                                   \
                         : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(int(accumulate)));                \
        }                                                                                                            \
    };

FIREQ_WGMMA(WgmmaF32, 8, "f32", float, 4, FIREQ_F4(d, 0), 4, 5, 6, 7, 8, 9)
FIREQ_WGMMA(WgmmaF32, 16, "f32", float, 8, FIREQ_F8(d, 0), 8, 9, 10, 11, 12, 13)
FIREQ_WGMMA(WgmmaF32, 32, "f32", float, 16, FIREQ_F16(d, 0), 16, 17, 18, 19, 20, 21)
FIREQ_WGMMA(WgmmaF32, 64, "f32", float, 32, FIREQ_F32(d, 0), 32, 33, 34, 35, 36, 37)
FIREQ_WGMMA(WgmmaF32, 128, "f32", float, 64, FIREQ_F64(d, 0), 64, 65, 66, 67, 68, 69)
FIREQ_WGMMA(WgmmaF32, 256, "f32", float, 128, FIREQ_F128(d, 0), 128, 129, 130, 131, 132, 133)
FIREQ_WGMMA(WgmmaF16, 8, "f16", u32, 2, FIREQ_R2(d, 0), 2, 3, 4, 5, 6, 7)
FIREQ_WGMMA(WgmmaF16, 16, "f16", u32, 4, FIREQ_R4(d, 0), 4, 5, 6, 7, 8, 9)
FIREQ_WGMMA(WgmmaF16, 32, "f16", u32, 8, FIREQ_R8(d, 0), 8, 9, 10, 11, 12, 13)
FIREQ_WGMMA(WgmmaF16, 64, "f16", u32, 16, FIREQ_R16(d, 0), 16, 17, 18, 19, 20, 21)
FIREQ_WGMMA(WgmmaF16, 128, "f16", u32, 32, FIREQ_R32(d, 0), 32, 33, 34, 35, 36, 37)
FIREQ_WGMMA(WgmmaF16, 256, "f16", u32, 64, FIREQ_R64(d, 0), 64, 65, 66, 67, 68, 69)

#undef FIREQ_WGMMA
#undef FIREQ_F128
#undef FIREQ_F64
#undef FIREQ_F32
#undef FIREQ_F16
#undef FIREQ_F8
#undef FIREQ_F4
#undef FIREQ_F2
#undef FIREQ_R64
#undef FIREQ_R32
#undef FIREQ_R16
#undef FIREQ_R8
#undef FIREQ_R4
#undef FIREQ_R2
#undef FIREQ_REGS_128
#undef FIREQ_REGS_64
#undef FIREQ_REGS_32
#undef FIREQ_REGS_16
#undef FIREQ_REGS_8
#undef FIREQ_REGS_4
#undef FIREQ_REGS_2

}  // namespace fireq
