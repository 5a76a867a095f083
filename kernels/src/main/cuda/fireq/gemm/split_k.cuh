// The sum of a tile whose reduction was cut among workers: every worker leaves its partial sums in the workspace, and the
// one that arrives last adds all pieces in the order of k. Who is last changes from run to run, the order of the sums does
// not, so results are reproducible, and nobody waits for a worker that has not started.
//
// Workspace: for each worker two slots (its piece that begins a tile, and the one that continues a tile), of
// [warpgroup][register / 4][thread] groups of four floats; and a counter per CTA and warpgroup for the tile that it
// begins and leaves to others, zero between launches.
#pragma once

#include "fireq/ptx/mbarrier.cuh"

namespace fireq {

template <int REGISTERS, int WARPGROUPS>
struct SplitKSlot {
    static constexpr int THREADS = 128;
    static constexpr i64 FLOATS = i64(WARPGROUPS) * REGISTERS * THREADS;

    // Where register group `quad` of this thread lies in the slot of a worker's CTA.
    static __device__ __forceinline__ Packed<float, 4>* at(float* partials, int cta, bool begins_tile, int warpgroup,
                                                           int quad, int thread) {
        const i64 slot = (i64(cta) * 2 + begins_tile) * FLOATS;
        return reinterpret_cast<Packed<float, 4>*>(partials + slot) + (warpgroup * (REGISTERS / 4) + quad) * THREADS +
               thread;
    }
};

__device__ __forceinline__ Packed<float, 4> load_l2(const Packed<float, 4>* at) {
    Packed<float, 4> v;
    asm volatile("ld.global.cg.v4.f32 {%0, %1, %2, %3}, [%4];"
                 : "=f"(v.at[0]), "=f"(v.at[1]), "=f"(v.at[2]), "=f"(v.at[3])
                 : "l"(at)
                 : "memory");
    return v;
}

__device__ __forceinline__ u32 add_acquire_release(u32* counter, u32 value) {
    u32 before;
    asm volatile("atom.add.acq_rel.gpu.global.u32 %0, [%1], %2;" : "=r"(before) : "l"(counter), "r"(value) : "memory");
    return before;
}

// Called by the 128 threads of a warpgroup with its piece in `sum`. True for the warpgroup that arrived last: `sum` then
// holds the tile's total. `flag` is a word of shared memory of this warpgroup, `barrier_id` its named barrier; CTA number
// `stride` * worker + `rank` computes the piece of `worker`.
template <int REGISTERS, int WARPGROUPS>
__device__ __forceinline__ bool add_pieces(float (&sum)[REGISTERS], float* partials, u32* counter, u32* flag,
                                           int barrier_id, int warpgroup, int thread, int worker, int first_worker,
                                           int last_worker, int stride, int rank) {
    using Slot = SplitKSlot<REGISTERS, WARPGROUPS>;
    const int cta = worker * stride + rank;
#pragma unroll
    for (int quad = 0; quad < REGISTERS / 4; quad++) {
        Packed<float, 4> v;
#pragma unroll
        for (int i = 0; i < 4; i++) {
            v.at[i] = sum[quad * 4 + i];
        }
        *Slot::at(partials, cta, worker == first_worker, warpgroup, quad, thread) = v;
    }
    __threadfence();
    named_barrier_sync(barrier_id, Slot::THREADS);
    if (thread == 0) {
        const u32 arrived = add_acquire_release(counter, 1);
        const bool is_last = arrived == u32(last_worker - first_worker);
        if (is_last) {
            *counter = 0;
        }
        *flag = is_last;
        __threadfence();
    }
    named_barrier_sync(barrier_id, Slot::THREADS);
    if (*flag == 0) {
        return false;
    }
#pragma unroll
    for (int i = 0; i < REGISTERS; i++) {
        sum[i] = 0.0f;
    }
    for (int piece = first_worker; piece <= last_worker; piece++) {
#pragma unroll
        for (int quad = 0; quad < REGISTERS / 4; quad++) {
            const Packed<float, 4> v = load_l2(
                Slot::at(partials, piece * stride + rank, piece == first_worker, warpgroup, quad, thread));
#pragma unroll
            for (int i = 0; i < 4; i++) {
                sum[quad * 4 + i] += v.at[i];
            }
        }
    }
    return true;
}

}  // namespace fireq
