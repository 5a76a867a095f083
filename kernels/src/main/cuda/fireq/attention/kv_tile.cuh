// A run of TOKENS tokens of one KV head, expanded for the tensor core. The record is a copy of the shared memory that
// wgmma reads, so one bulk copy loads it:
//
//     K         TOKENS rows of HEAD_DIM bytes   e4m3(code - zero), row = token, swizzled over the row's width
//     V         HEAD_DIM rows of TOKENS bytes   likewise, row = channel, swizzled; both orders permuted
//     K scales  TOKENS floats                   permuted, see index_of_scale
//     V scales  TOKENS floats                   likewise
//     bound     float                           log2 of the largest V scale / 448
//
// Three permutations save shuffles and loads. The bytes of a V row are ordered such that the accumulators of the scores
// are, in place, the A fragment of the probabilities; the rows of V such that a lane's accumulators of the output are runs
// of eight neighbouring channels; the scales such that a lane finds those of its columns four at a time. Tokens beyond
// the end of the sequence are zero in every field.
#pragma once

#include "fireq/common/math.cuh"

namespace fireq {

constexpr float LOG2_E4M3_MAX = 8.807354922057604f;

// Where byte `byte` of row `row` lies when 16-byte pieces are permuted over rows of ROW_BYTES, as TMA and wgmma do.
template <int ROW_BYTES>
__host__ __device__ constexpr int swizzled(int row, int byte) {
    static_assert(ROW_BYTES == 64 || ROW_BYTES == 128, "rows are as wide as a swizzle");
    const int piece = ROW_BYTES == 128 ? row % 8 : row / 2 % 4;
    return row * ROW_BYTES + ((byte / 16 ^ piece) * 16 | byte % 16);
}

template <int HEAD_DIM_, int TOKENS_>
struct KvTile {
    static constexpr int HEAD_DIM = HEAD_DIM_;
    static constexpr int TOKENS = TOKENS_;
    static_assert(HEAD_DIM == 64 || HEAD_DIM == 128, "a K row is as wide as a swizzle");
    static_assert(TOKENS == 64 || TOKENS == 128, "a V row is as wide as a swizzle");

    static constexpr int K = 0;
    static constexpr int V = TOKENS * HEAD_DIM;
    static constexpr int K_SCALES = 2 * TOKENS * HEAD_DIM;
    static constexpr int V_SCALES = K_SCALES + TOKENS * 4;
    static constexpr int BOUND = V_SCALES + TOKENS * 4;
    static constexpr int BYTES = BOUND + 16;
    // Distance of records: the swizzle counts from addresses that are multiples of 1024.
    static constexpr int STRIDE = align_up(BYTES, 1024);

    // Place of a token's scale: a lane of a quad has columns 2q, 2q + 1 of every eight.
    static __host__ __device__ constexpr int index_of_scale(int token) {
        return token / 16 * 16 + token % 8 / 2 * 4 + token % 16 / 8 * 2 + token % 2;
    }

    // Token, within the run of 16 that a piece of a V row holds, of its byte `slot`.
    static __host__ __device__ constexpr int token_of_slot(int slot) {
        return slot / 2 % 2 * 8 + slot / 4 * 2 + slot % 2;
    }

    // Row of V that holds a channel.
    static __host__ __device__ constexpr int row_of_channel(int channel) {
        return channel / 32 * 32 + channel % 8 / 2 * 8 + channel % 32 / 8 * 2 + channel % 2;
    }
};

}  // namespace fireq
