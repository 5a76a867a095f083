// Shared-memory barriers that count arrivals and the bytes of asynchronous copies.
#pragma once

#include "fireq/common/types.cuh"

namespace fireq {

__device__ __forceinline__ u32 smem_address(const void* pointer) {
    return u32(__cvta_generic_to_shared(pointer));
}

__device__ __forceinline__ void mbarrier_init(u64* barrier, u32 arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(smem_address(barrier)), "r"(arrivals) : "memory");
}

// Makes initialised barriers visible to the asynchronous proxy and to the other CTAs of the cluster.
__device__ __forceinline__ void mbarrier_init_fence() {
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}

__device__ __forceinline__ void mbarrier_arrive(u64* barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(smem_address(barrier)) : "memory");
}

// Arrives on the barrier at the same offset in another CTA of the cluster.
__device__ __forceinline__ void mbarrier_arrive_remote(u64* barrier, u32 cta_rank) {
    asm volatile(
        "{\n"
        ".reg .b32 remote;\n"
        "mapa.shared::cluster.u32 remote, %0, %1;\n"
        "mbarrier.arrive.release.cluster.shared::cluster.b64 _, [remote];\n"
        "}" ::"r"(smem_address(barrier)),
        "r"(cta_rank)
        : "memory");
}

// Where what lies at a shared-memory address of this CTA lies in another CTA of the cluster.
__device__ __forceinline__ u32 cluster_address_of(u32 address, u32 cta_rank) {
    u32 remote;
    asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(remote) : "r"(address), "r"(cta_rank));
    return remote;
}

// Arrives on a barrier anywhere in the cluster, for a thread that only read what the barrier guards: without a fence for
// what it wrote, which costs hundreds of cycles.
__device__ __forceinline__ void mbarrier_arrive_cluster_after_reading(u32 cluster_address) {
    asm volatile("mbarrier.arrive.shared::cluster.b64 _, [%0];" ::"r"(cluster_address) : "memory");
}

// Arrives and announces how many bytes asynchronous copies will deliver in this phase.
__device__ __forceinline__ void mbarrier_arrive_expect_bytes(u64* barrier, u32 bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(smem_address(barrier)), "r"(bytes)
                 : "memory");
}

// True once the phase of this parity is complete; may suspend the thread for a while before it answers.
__device__ __forceinline__ bool mbarrier_try_wait(u64* barrier, u32 parity) {
    u32 done;
    asm volatile(
        "{\n"
        ".reg .pred complete;\n"
        "mbarrier.try_wait.parity.shared::cta.b64 complete, [%1], %2;\n"
        "selp.b32 %0, 1, 0, complete;\n"
        "}"
        : "=r"(done)
        : "r"(smem_address(barrier)), "r"(parity)
        : "memory");
    return done != 0;
}

__device__ __forceinline__ void mbarrier_wait(u64* barrier, u32 parity) {
    while (!mbarrier_try_wait(barrier, parity)) {
    }
}

// As mbarrier_wait, and acquires what other CTAs of the cluster wrote before they arrived.
__device__ __forceinline__ void mbarrier_wait_cluster(u64* barrier, u32 parity) {
    u32 done = 0;
    while (done == 0) {
        asm volatile(
            "{\n"
            ".reg .pred complete;\n"
            "mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 complete, [%1], %2;\n"
            "selp.b32 %0, 1, 0, complete;\n"
            "}"
            : "=r"(done)
            : "r"(smem_address(barrier)), "r"(parity)
            : "memory");
    }
}

// Orders this thread's ordinary shared-memory accesses before later ones of TMA and wgmma.
__device__ __forceinline__ void fence_async_proxy() {
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

// A barrier of `threads` threads (whole warps) among ids 1..15; id 0 is __syncthreads.
__device__ __forceinline__ void named_barrier_sync(int id, int threads) {
    asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

__device__ __forceinline__ void named_barrier_arrive(int id, int threads) {
    asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

}  // namespace fireq
