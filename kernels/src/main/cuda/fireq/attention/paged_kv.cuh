// The paged INT4 KV cache of one layer. K and V are stored alike:
//
//     codes   [n_kv_blocks, n_kv_heads, kv_block_size, ceil(head_dim / 2)] bytes, low nibble = even channel, codes 0..15
//     params  [n_kv_blocks, n_kv_heads, kv_block_size, head_dim / group_size] ScaleZero
//
// so one head's tokens of one KV block are contiguous. A slot is kv_block * kv_block_size + offset.
#pragma once

#include "fireq/common/types.cuh"

namespace fireq {

struct KvLayout {
    int n_kv_heads;
    int head_dim;
    int group_size;
    int kv_block_size;

    __device__ __forceinline__ int row_bytes() const { return (head_dim + 1) / 2; }
    __device__ __forceinline__ int groups() const { return head_dim / group_size; }

    // Index of one (slot, head) vector; times row_bytes() or groups() it addresses codes or params.
    __device__ __forceinline__ i64 row(int kv_block, int offset, int kv_head) const {
        return (i64(kv_block) * n_kv_heads + kv_head) * kv_block_size + offset;
    }
};

__device__ __forceinline__ int kv_code(const u8* codes, int channel) {
    return codes[channel / 2] >> (channel % 2 * 4) & 15;
}

}  // namespace fireq
