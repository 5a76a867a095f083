// INT4 weight codes to e4m3 bytes, four at a time, without arithmetic.
//
// In kernel order a code is an index into eight magnitudes (8, 7, .., 1) and a sign:
//
//     q       -8  -7  ..  -1   0   1  ..   7
//     index    0   1  ..   7   0   7  ..   1
//     sign     1   1  ..   1   0   0  ..   0
//
// Eight codes make a word. The low three bits of nibble j are the index of code j, as a byte permutation wants them. The
// bits between carry the signs, where each lands in the top bit of its byte: those of codes 0..3 in bits 7, 15, 23, 31, of
// codes 4..7 in bits 3, 11, 19, 27.
//
// A table holds the eight negative bytes e4m3(-magnitude * scale), byte i for index i, and their positive twins; index 0
// of the positives is the code 0 and reads -0.0.
#pragma once

#include "fireq/ptx/bytes.cuh"
#include "fireq/ptx/cvt.cuh"

namespace fireq {

struct Int4Table {
    u32 negative[2];
    u32 positive[2];

    static __device__ __forceinline__ Int4Table of_negatives(u32 first, u32 second) {
        return Int4Table{{first, second}, {(first & 0xffffff00u) ^ 0x80808080u, second ^ 0x80808080u}};
    }

    // magnitudes[i] is the value behind |q| = i + 1.
    static __device__ __forceinline__ Int4Table of_scale(float scale, const float (&magnitudes)[8]) {
        u32 bytes[2];
        const float negative = -scale;
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const int top = 7 - 4 * half;
            const u32 low = to_e4m3x2(magnitudes[top] * negative, magnitudes[top - 1] * negative);
            const u32 high = to_e4m3x2(magnitudes[top - 2] * negative, magnitudes[top - 3] * negative);
            bytes[half] = low | high << 16;
        }
        return of_negatives(bytes[0], bytes[1]);
    }
};

// A word of eight codes to eight e4m3 bytes: lo holds codes 0..3, hi codes 4..7.
__device__ __forceinline__ void int4_to_e4m3x8(u32 codes, const Int4Table& table, u32& lo, u32& hi) {
    const u32 index = codes & 0x77777777u;
    const u32 lo_sign = spread_signs(codes);
    const u32 hi_sign = spread_signs(codes << 4);
    const u32 lo_negative = permute_bytes(table.negative[0], table.negative[1], index);
    const u32 lo_positive = permute_bytes(table.positive[0], table.positive[1], index);
    const u32 hi_negative = permute_bytes(table.negative[0], table.negative[1], index >> 16);
    const u32 hi_positive = permute_bytes(table.positive[0], table.positive[1], index >> 16);
    lo = (lo_sign & lo_negative) | (~lo_sign & lo_positive);
    hi = (hi_sign & hi_negative) | (~hi_sign & hi_positive);
}

// Where a word of kernel order holds code `position` (0..7), -8..7.
__device__ __forceinline__ u32 int4_in_word(int code, int position) {
    const u32 index = u32(code > 0 ? 8 - code : code) & 7;
    const int sign_bit = position < 4 ? 8 * position + 7 : 8 * (position - 4) + 3;
    return index << 4 * position | u32(code < 0) << sign_bit;
}

// One code -8..7 in checkpoint order (two's complement, low nibble = even column).
__device__ __forceinline__ int int4_code(const u8* packed_row, int column) {
    const int pair = packed_row[column / 2];
    return column % 2 == 0 ? (pair << 28) >> 28 : (pair << 24) >> 28;
}

// e4m3(sign(q) * magnitude * scale) as a float: the byte that the tensor core would multiply.
__device__ __forceinline__ float int4_value(int code, float scale, const float* magnitudes) {
    if (code == 0) {
        return 0.0f;
    }
    const float magnitude = magnitudes[(code < 0 ? -code : code) - 1];
    return to_float(to_e4m3((code < 0 ? -magnitude : magnitude) * scale));
}

}  // namespace fireq
