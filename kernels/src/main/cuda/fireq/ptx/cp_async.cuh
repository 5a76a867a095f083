// Copies of 16 bytes by the threads themselves, for what is too little for the tensor memory accelerator.
#pragma once

#include "fireq/ptx/mbarrier.cuh"

namespace fireq {

// Both addresses are multiples of 16.
__device__ __forceinline__ void cp_async_16(void* smem, const void* global) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(smem_address(smem)), "l"(global) : "memory");
}

// Arrives once all copies that this thread has begun are done. The barrier expects this arrival beside the others.
__device__ __forceinline__ void cp_async_arrive(u64* barrier) {
    asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(smem_address(barrier)) : "memory");
}

}  // namespace fireq
