// Where a producer or consumer is in a ring of STAGES buffers: the slot and the parity of its current use.
#pragma once

#include "fireq/common/types.cuh"

namespace fireq {

template <int STAGES>
struct Stage {
    static_assert(STAGES >= 1, "a ring has at least one slot");

    int index = 0;
    u32 phase = 0;

    // A consumer starts in phase 0. A producer starts in phase 1, whose wait a fresh barrier lets pass: all slots are
    // empty.
    static __device__ __forceinline__ Stage producer() { return Stage{0, 1}; }
    static __device__ __forceinline__ Stage consumer() { return Stage{0, 0}; }

    __device__ __forceinline__ void advance() {
        index++;
        if (index == STAGES) {
            index = 0;
            phase ^= 1;
        }
    }
};

}  // namespace fireq
