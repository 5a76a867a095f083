// Kernel order of INT4 weights: what Int4Fp8WeightLayout writes and a consumer warpgroup reads.
//
// A chunk holds the 64 rows of a warpgroup over 128 columns as four strips, one for each warp: 16 rows, 1024 bytes of
// codes and 16 of scales. Lane l finds all its A fragments of the four k steps of m64k32 in two 16-byte words, neighbours
// beside each other:
//
//     byte     0    lane 0: step 0 row r | step 0 row r + 8 | step 1 row r | step 1 row r + 8     4 bytes each
//             16    lane 1 ..
//            512    lane 0: steps 2 and 3, likewise
//           1024    scales, e4m3: row r, row r + 8 of the lanes 0, 4, 8, ..
//
// with r = l / 4 of the strip. The four bytes are the codes of columns 4 * (l % 4) + 0..3, then of the same columns + 16, as
// a word of quant/int4.cuh.
#pragma once

#include "fireq/ptx/wgmma.cuh"
#include "fireq/quant/int4.cuh"

namespace fireq {

struct Int4Chunk {
    static constexpr int ROWS = 64;
    static constexpr int COLUMNS = 128;
    static constexpr int STEPS = COLUMNS / 32;
    static constexpr int STRIP_ROWS = 16;
    static constexpr int STRIPS = ROWS / STRIP_ROWS;
    static constexpr int HALF_BYTES = 512;
    static constexpr int CODE_BYTES = 2 * HALF_BYTES;
    static constexpr int STRIP_BYTES = CODE_BYTES + STRIP_ROWS;
    static constexpr int BYTES = STRIPS * STRIP_BYTES;
};

// The magnitudes of quant/int4.cuh, in the parameters of the kernel.
struct Int4Magnitudes {
    float at[8];
};

// One lane's part of a strip as it lies in memory.
struct Int4ChunkCodes {
    Packed<u32, 4> half[2];
    u16 scales;

    __device__ __forceinline__ void load(const u8* strip, int lane) {
        half[0] = *reinterpret_cast<const Packed<u32, 4>*>(strip + lane * 16);
        half[1] = *reinterpret_cast<const Packed<u32, 4>*>(strip + Int4Chunk::HALF_BYTES + lane * 16);
        scales = *reinterpret_cast<const u16*>(strip + Int4Chunk::CODE_BYTES + lane / 4 * 2);
    }
};

// The A operands of one chunk, e4m3, four registers a step.
template <bool SIGN_MAGNITUDE>
struct Int4ChunkFragments {
    using Table = Int4Table<SIGN_MAGNITUDE>;

    u32 step[Int4Chunk::STEPS][4];

    __device__ __forceinline__ void decode(const Int4ChunkCodes& codes, const Int4Magnitudes& magnitudes) {
        const u32 scales = e4m3x2_to_f16x2(codes.scales);
        const Table upper = Table::of_scale(to_float(f16{u16(scales & 0xffff)}), magnitudes.at);
        const Table lower = Table::of_scale(to_float(f16{u16(scales >> 16)}), magnitudes.at);
#pragma unroll
        for (int s = 0; s < Int4Chunk::STEPS; s++) {
            const u32* words = &codes.half[s / 2].at[s % 2 * 2];
            upper.decode(words[0], step[s][0], step[s][2]);
            lower.decode(words[1], step[s][1], step[s][3]);
        }
    }

    // Keeps the registers as they are up to this point, behind which a wgmma no longer reads them.
    __device__ __forceinline__ void pin() {
#pragma unroll
        for (int s = 0; s < Int4Chunk::STEPS; s++) {
            wgmma_pin(step[s]);
        }
    }
};

}  // namespace fireq
