// What every kernel takes for granted about its target.
#pragma once

#include "fireq/common/types.cuh"

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 900
#error "FireQ kernels need compute capability 9.0: bf16, e4m3 and asynchronous copies are used without a fallback"
#endif

namespace fireq {

constexpr int WARP_SIZE = 32;

template <int THREADS>
struct CtaShape {
    static_assert(THREADS % WARP_SIZE == 0 && THREADS >= WARP_SIZE && THREADS <= 1024,
                  "a CTA is whole warps, at most 1024 threads");
    static constexpr int WARPS = THREADS / WARP_SIZE;
};

// Ends the grid with an error that the host sees at its next call. For states the launcher already rules out.
__device__ __forceinline__ void trap_unless(bool condition) {
    if (!condition) {
        asm volatile("trap;");
    }
}

}  // namespace fireq
