// INT4 weight codes to e4m3 bytes, four at a time, without arithmetic. A code, a nibble, stands for one of sixteen values
// that come in pairs of opposites, so that eight magnitudes make them all:
//
//     SIGN_MAGNITUDE     bit 3 is the sign, bits 0..2 an index: +-magnitudes[index]. No code is zero
//     two's complement   q = -8..7: sign(q) * magnitudes[|q| - 1], and 0
//
// Kernel order keeps an index of three bits and a sign for each code. With SIGN_MAGNITUDE they are the code's own; with
// two's complement magnitudes are counted from the largest, and the index that is left, 0, serves the two codes without
// a counterpart:
//
//     q       -8  -7  ..  -1   0   1  ..   7
//     index    0   1  ..   7   0   7  ..   1
//     sign     1   1  ..   1   0   0  ..   0
//
// Eight codes make a word. The low three bits of nibble j are the index of code j, as a byte permutation wants them. The
// bits between carry the signs, where each lands in the top bit of its byte: those of codes 0..3 in bits 7, 15, 23, 31, of
// codes 4..7 in bits 3, 11, 19, 27.
#pragma once

#include "fireq/ptx/bytes.cuh"
#include "fireq/ptx/cvt.cuh"

namespace fireq {

// The bytes behind the codes of one group.
template <bool SIGN_MAGNITUDE>
struct Int4Table;

template <>
struct Int4Table<true> {
    u32 positive[2];

    static __device__ __forceinline__ Int4Table of_scale(float scale, const float (&m)[8]) {
        return Int4Table{{to_e4m3x4(m[0], m[1], m[2], m[3], scale), to_e4m3x4(m[4], m[5], m[6], m[7], scale)}};
    }

    // A word of eight codes to eight bytes: lo holds codes 0..3, hi codes 4..7.
    __device__ __forceinline__ void decode(u32 codes, u32& lo, u32& hi) const {
        constexpr u32 SIGNS = 0x80808080u;
        const u32 index = codes & 0x77777777u;
        lo = permute_bytes(positive[0], positive[1], index) ^ (codes & SIGNS);
        hi = permute_bytes(positive[0], positive[1], index >> 16) ^ (codes << 4 & SIGNS);
    }
};

template <>
struct Int4Table<false> {
    u32 negative[2];
    u32 positive[2];  // index 0 is the code 0 and reads -0.0

    static __device__ __forceinline__ Int4Table of_scale(float scale, const float (&m)[8]) {
        const u32 first = to_e4m3x4(m[7], m[6], m[5], m[4], -scale);
        const u32 second = to_e4m3x4(m[3], m[2], m[1], m[0], -scale);
        return Int4Table{{first, second}, {(first & 0xffffff00u) ^ 0x80808080u, second ^ 0x80808080u}};
    }

    __device__ __forceinline__ void decode(u32 codes, u32& lo, u32& hi) const {
        const u32 index = codes & 0x77777777u;
        const u32 lo_sign = spread_signs(codes);
        const u32 hi_sign = spread_signs(codes << 4);
        const u32 lo_negative = permute_bytes(negative[0], negative[1], index);
        const u32 lo_positive = permute_bytes(positive[0], positive[1], index);
        const u32 hi_negative = permute_bytes(negative[0], negative[1], index >> 16);
        const u32 hi_positive = permute_bytes(positive[0], positive[1], index >> 16);
        lo = (lo_sign & lo_negative) | (~lo_sign & lo_positive);
        hi = (hi_sign & hi_negative) | (~hi_sign & hi_positive);
    }
};

// Where a word of kernel order holds the code of a nibble at `position` (0..7).
__device__ __forceinline__ u32 int4_in_word(int nibble, int position, bool sign_magnitude) {
    const bool counts_down = !sign_magnitude && nibble > 0 && nibble < 8;
    const u32 index = u32(counts_down ? 8 - nibble : nibble) & 7;
    const int sign_bit = position < 4 ? 8 * position + 7 : 8 * (position - 4) + 3;
    return index << 4 * position | u32(nibble >> 3) << sign_bit;
}

// The nibble of one code in checkpoint order (low nibble = even column).
__device__ __forceinline__ int int4_nibble(const u8* packed_row, int column) {
    return packed_row[column / 2] >> column % 2 * 4 & 15;
}

// e4m3(values[nibble] * scale) as a float: the byte that the tensor core would multiply.
__device__ __forceinline__ float int4_value(int nibble, float scale, const float* values) {
    return to_float(to_e4m3(values[nibble] * scale));
}

}  // namespace fireq
