// out[64, TILE_N] = a[64, 128] * b[TILE_N, 128]^T with one warpgroup: TMA with 128-byte swizzle, SS and RS forms, float and
// half sums, and the fragment layouts that ptx/wgmma.cuh describes.
#pragma once

#include "fireq/common/math.cuh"
#include "fireq/ptx/cvt.cuh"
#include "fireq/ptx/tma.cuh"
#include "fireq/ptx/wgmma.cuh"

namespace fireq {

template <bool HALF_SUMS, int N>
struct SelfTestMma : WgmmaF32<N> {
    float d[N / 2] = {};
    __device__ __forceinline__ float at(int i) const { return d[i]; }
};

template <int N>
struct SelfTestMma<true, N> : WgmmaF16<N> {
    u32 d[N / 4] = {};
    __device__ __forceinline__ float at(int i) const { return to_float(f16{u16(d[i / 2] >> i % 2 * 16)}); }
};

template <class Config>
__global__ void __launch_bounds__(128)
    wgmma_tile(const __grid_constant__ TensorMap a_map, const __grid_constant__ TensorMap b_map, const u8* a,
               float* out) {
    constexpr int N = Config::TILE_N;
    constexpr int TILE_K = 128;
    __shared__ alignas(1024) u8 a_tile[64 * TILE_K];
    __shared__ alignas(1024) u8 b_tile[N * TILE_K];
    __shared__ u64 barrier;

    if (threadIdx.x == 0) {
        tma_prefetch_descriptor(&a_map);
        mbarrier_init(&barrier, 1);
        mbarrier_init_fence();
        mbarrier_arrive_expect_bytes(&barrier, sizeof(a_tile) + sizeof(b_tile));
        tma_load_2d(a_tile, &a_map, &barrier, 0, 0);
        tma_load_2d(b_tile, &b_map, &barrier, 0, 0, CacheHint::EVICT_FIRST);
    }
    __syncthreads();
    mbarrier_wait(&barrier, 0);

    const int warp = threadIdx.x / WARP_SIZE;
    const int lane = threadIdx.x % WARP_SIZE;
    const int row = 16 * warp + lane / 4;
    u32 fragment[TILE_K / 32][4];
    if constexpr (Config::REGISTERS_A) {
#pragma unroll
        for (int step = 0; step < TILE_K / 32; step++) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
                const u8* bytes = a + (row + 8 * (i % 2)) * TILE_K + step * 32 + 16 * (i / 2) + 4 * (lane % 4);
                fragment[step][i] = *reinterpret_cast<const u32*>(bytes);
            }
        }
    }
    SelfTestMma<Config::HALF_SUMS, N> mma;
    const u64 a_descriptor = wgmma_descriptor(a_tile, Swizzle::B128, TILE_K);
    const u64 b_descriptor = wgmma_descriptor(b_tile, Swizzle::B128, TILE_K);
    wgmma_pin(mma.d);
    wgmma_fence();
#pragma unroll
    for (int step = 0; step < TILE_K / 32; step++) {
        if constexpr (Config::REGISTERS_A) {
            mma.rs(mma.d, fragment[step], wgmma_advance(b_descriptor, step * 32), step > 0);
        } else {
            mma.ss(mma.d, wgmma_advance(a_descriptor, step * 32), wgmma_advance(b_descriptor, step * 32), step > 0);
        }
    }
    wgmma_commit();
    wgmma_wait<0>();
    wgmma_pin(mma.d);
#pragma unroll
    for (int i = 0; i < N / 2; i++) {
        const int pair = i / 2;
        const int column = 8 * (pair / 2) + 2 * (lane % 4) + i % 2;
        out[(row + 8 * (pair % 2)) * N + column] = mma.at(i);
    }
}

}  // namespace fireq
