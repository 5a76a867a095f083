// Two CTAs of a cluster load one half of a [64, 64] byte tile each and deliver it to both; each writes the tile it received
// to its own part of out. The second round waits until both CTAs have read the first: a remote arrival.
#pragma once

#include "fireq/common/check.cuh"
#include "fireq/pipeline/stage.cuh"
#include "fireq/ptx/cluster.cuh"
#include "fireq/ptx/tma.cuh"

namespace fireq {

template <class Config>
__global__ void __launch_bounds__(128)
    cluster_multicast(const __grid_constant__ TensorMap map, u8* out, int rounds) {
    constexpr int TILE_BYTES = 64 * 64;
    __shared__ alignas(128) u8 tile[TILE_BYTES];
    __shared__ u64 full;
    __shared__ u64 empty;

    const u32 rank = cluster_cta_rank();
    if (threadIdx.x == 0) {
        mbarrier_init(&full, 1);
        mbarrier_init(&empty, 2);
        mbarrier_init_fence();
    }
    cluster_sync();
    Stage<1> fill = Stage<1>::producer();
    Stage<1> drain = Stage<1>::consumer();
    for (int round = 0; round < rounds; round++) {
        if (threadIdx.x == 0) {
            mbarrier_wait_cluster(&empty, fill.phase);
            mbarrier_arrive_expect_bytes(&full, TILE_BYTES);
            tma_load_2d_multicast(tile + rank * TILE_BYTES / 2, &map, &full, 0, 64 * round + 32 * int(rank), 3);
            fill.advance();
        }
        mbarrier_wait(&full, drain.phase);
        drain.advance();
        for (int i = threadIdx.x; i < TILE_BYTES; i += 128) {
            out[(round * 2 + rank) * TILE_BYTES + i] = tile[i];
        }
        __syncthreads();
        if (threadIdx.x < 2) {
            mbarrier_arrive_remote(&empty, threadIdx.x);
        }
    }
    cluster_sync();
}

}  // namespace fireq
