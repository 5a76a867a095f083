// Copies by the tensor memory accelerator. One thread issues; the mbarrier counts the bytes of a load, a commit group
// counts stores. Coordinates are in elements, innermost dimension first.
#pragma once

#include "fireq/ptx/mbarrier.cuh"

namespace fireq {

// L2 eviction priorities, in the encoding that the cache_hint operand takes.
enum class CacheHint : u64 {
    EVICT_NORMAL = 0x1000000000000000ull,
    EVICT_FIRST = 0x12f0000000000000ull,
    EVICT_LAST = 0x14f0000000000000ull,
};

__device__ __forceinline__ void tma_prefetch_descriptor(const TensorMap* map) {
    asm volatile("prefetch.tensormap [%0];" ::"l"(map) : "memory");
}

__device__ __forceinline__ void tma_load_2d(void* smem, const TensorMap* map, u64* barrier, int x0, int x1,
                                            CacheHint hint = CacheHint::EVICT_NORMAL) {
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint"
        " [%0], [%1, {%3, %4}], [%2], %5;" ::"r"(smem_address(smem)),
        "l"(map), "r"(smem_address(barrier)), "r"(x0), "r"(x1), "l"(u64(hint))
        : "memory");
}

__device__ __forceinline__ void tma_load_3d(void* smem, const TensorMap* map, u64* barrier, int x0, int x1, int x2,
                                            CacheHint hint = CacheHint::EVICT_NORMAL) {
    asm volatile(
        "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint"
        " [%0], [%1, {%3, %4, %5}], [%2], %6;" ::"r"(smem_address(smem)),
        "l"(map), "r"(smem_address(barrier)), "r"(x0), "r"(x1), "r"(x2), "l"(u64(hint))
        : "memory");
}

__device__ __forceinline__ void tma_load_4d(void* smem, const TensorMap* map, u64* barrier, int x0, int x1, int x2,
                                            int x3, CacheHint hint = CacheHint::EVICT_NORMAL) {
    asm volatile(
        "cp.async.bulk.tensor.4d.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint"
        " [%0], [%1, {%3, %4, %5, %6}], [%2], %7;" ::"r"(smem_address(smem)),
        "l"(map), "r"(smem_address(barrier)), "r"(x0), "r"(x1), "r"(x2), "r"(x3), "l"(u64(hint))
        : "memory");
}

// Delivers the same box to the same offset, and signals the same barrier, in every CTA of `cta_mask`.
__device__ __forceinline__ void tma_load_2d_multicast(void* smem, const TensorMap* map, u64* barrier, int x0, int x1,
                                                      u16 cta_mask, CacheHint hint = CacheHint::EVICT_NORMAL) {
    asm volatile(
        "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster"
        ".L2::cache_hint [%0], [%1, {%3, %4}], [%2], %5, %6;" ::"r"(smem_address(smem)),
        "l"(map), "r"(smem_address(barrier)), "r"(x0), "r"(x1), "h"(cta_mask), "l"(u64(hint))
        : "memory");
}

// A plain run of bytes; addresses and size are multiples of 16.
__device__ __forceinline__ void bulk_load(void* smem, const void* global, u32 bytes, u64* barrier,
                                          CacheHint hint = CacheHint::EVICT_NORMAL) {
    asm volatile(
        "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.L2::cache_hint [%0], [%1], %2, [%3], %4;" ::"r"(
            smem_address(smem)),
        "l"(global), "r"(bytes), "r"(smem_address(barrier)), "l"(u64(hint))
        : "memory");
}

__device__ __forceinline__ void tma_store_2d(const TensorMap* map, const void* smem, int x0, int x1) {
    asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%0, {%2, %3}], [%1];" ::"l"(map),
                 "r"(smem_address(smem)), "r"(x0), "r"(x1)
                 : "memory");
}

__device__ __forceinline__ void tma_store_commit() {
    asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}

// Until at most PENDING commit groups still read shared memory: their source may then be overwritten.
template <int PENDING>
__device__ __forceinline__ void tma_store_wait_read() {
    asm volatile("cp.async.bulk.wait_group.read %0;" ::"n"(PENDING) : "memory");
}

// Until at most PENDING commit groups are unfinished: their writes are then visible to this thread.
template <int PENDING>
__device__ __forceinline__ void tma_store_wait() {
    asm volatile("cp.async.bulk.wait_group %0;" ::"n"(PENDING) : "memory");
}

}  // namespace fireq
