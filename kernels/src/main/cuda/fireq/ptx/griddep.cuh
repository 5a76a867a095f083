// Programmatic dependent launch: the next kernel of the stream may start before this one ends. Both are no-ops in a
// grid that was not launched with the attribute.
#pragma once

#include "fireq/common/types.cuh"

namespace fireq {

// Blocks until the kernels before this one have finished and their writes are visible.
__device__ __forceinline__ void wait_for_previous_kernel() {
    asm volatile("griddepcontrol.wait;" ::: "memory");
}

// The same, but not before a loaded word has arrived. ptxas moves the wait up as far as it can, and loads that stand before it
// in the source, which it does not concern, begin only when the other kernel has ended. Here it waits for the word, in which
// bits of all of them may meet: a square never has bit 1 set, but ptxas does not know.
__device__ __forceinline__ void wait_for_previous_kernel_behind(u32 loaded) {
    asm volatile(
        "{\n"
        ".reg .pred always;\n"
        ".reg .u32 square;\n"
        "mul.lo.u32 square, %0, %0;\n"
        "and.b32 square, square, 2;\n"
        "setp.eq.u32 always, square, 0;\n"
        "@always griddepcontrol.wait;\n"
        "}" ::"r"(loaded)
        : "memory");
}

// Lets the next kernel start once every CTA of this one has called it or ended.
__device__ __forceinline__ void allow_next_kernel() {
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
}

}  // namespace fireq
