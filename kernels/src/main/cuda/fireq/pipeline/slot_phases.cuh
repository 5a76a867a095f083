// Parities of the barriers of a ring whose slots are taken in any order: a bit for each slot, so that with a constant slot
// neither the barrier nor its parity has to be worked out. The other way to go round a ring: stage.cuh.
#pragma once

#include "fireq/common/types.cuh"

namespace fireq {

struct SlotPhases {
    u32 bits;

    // A consumer waits for phase 0 first. A producer for phase 1, which a fresh barrier lets pass: all slots are empty.
    static __device__ __forceinline__ SlotPhases producer() { return SlotPhases{~0u}; }
    static __device__ __forceinline__ SlotPhases consumer() { return SlotPhases{0}; }

    // The parity to wait for; the next one of the slot is the other.
    __device__ __forceinline__ u32 next(int slot) {
        const u32 parity = bits >> slot & 1;
        bits ^= 1u << slot;
        return parity;
    }
};

}  // namespace fireq
