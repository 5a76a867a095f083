// Programmatic dependent launch: the next kernel of the stream may start before this one ends. Both are no-ops in a
// grid that was not launched with the attribute.
#pragma once

namespace fireq {

// Blocks until the kernels before this one have finished and their writes are visible.
__device__ __forceinline__ void wait_for_previous_kernel() {
    asm volatile("griddepcontrol.wait;" ::: "memory");
}

// Lets the next kernel start once every CTA of this one has called it or ended.
__device__ __forceinline__ void allow_next_kernel() {
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
}

}  // namespace fireq
