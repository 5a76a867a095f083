// Register budget of a warpgroup. All warps of the warpgroup must execute it; COUNT is a multiple of 8. The kernel needs
// __launch_bounds__(THREADS, 1): without the second number ptxas does not know the count at entry and ignores the request.
#pragma once

namespace fireq {

template <int COUNT>
__device__ __forceinline__ void take_registers() {
    static_assert(COUNT % 8 == 0 && COUNT >= 24 && COUNT <= 256, "setmaxnreg takes multiples of 8 in 24..256");
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(COUNT));
}

template <int COUNT>
__device__ __forceinline__ void give_registers() {
    static_assert(COUNT % 8 == 0 && COUNT >= 24 && COUNT <= 256, "setmaxnreg takes multiples of 8 in 24..256");
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(COUNT));
}

}  // namespace fireq
