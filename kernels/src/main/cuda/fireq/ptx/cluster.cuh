// The CTAs of a cluster.
#pragma once

#include "fireq/common/types.cuh"

namespace fireq {

__device__ __forceinline__ u32 cluster_cta_rank() {
    u32 rank;
    asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
    return rank;
}

// The twin of a shared-memory variable in another CTA of the cluster, to be read or written like any memory. That CTA must
// have started and not ended: keep a cluster_sync on both sides.
template <class T>
__device__ __forceinline__ T* cluster_peer(T* shared, u32 cta_rank) {
    u64 peer;
    asm("mapa.u64 %0, %1, %2;" : "=l"(peer) : "l"(u64(shared)), "r"(cta_rank));
    return reinterpret_cast<T*>(peer);
}

// Release: what this thread wrote is visible to threads that pass cluster_wait.
__device__ __forceinline__ void cluster_arrive() {
    asm volatile("barrier.cluster.arrive.release.aligned;" ::: "memory");
}

__device__ __forceinline__ void cluster_wait() {
    asm volatile("barrier.cluster.wait.acquire.aligned;" ::: "memory");
}

__device__ __forceinline__ void cluster_sync() {
    cluster_arrive();
    cluster_wait();
}

}  // namespace fireq
