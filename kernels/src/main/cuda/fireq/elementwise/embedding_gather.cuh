/*
 * embedding_gather
 *
 * Computes   out[t,:] = table[token_ids[t],:]
 * Operands   name       dtype           shape                 layout / alignment              lives in
 *            token_ids  i32             [n_tokens]            contiguous                      step inputs
 *            table      bf16 or e4m3    [vocab_size, width]   row-major, VECTOR elements      weights
 *            row_scale  f32             [vocab_size]          null for a bf16 table           weights
 *            out        bf16            [n_tokens, width]     row-major, VECTOR elements      activations
 * Numerics   bf16 rows are copied; e4m3 rows are bf16(row_scale * e4m3), one rounding. Exact against the oracle.
 * Work       one CTA per token; threads stride over the row, VECTOR elements each
 * Pipeline   none
 * Smem map   none
 * Barriers   none
 * Requires   width % VECTOR == 0 (launcher picks VECTOR); 0 <= token id < vocab_size (traps)
 * Not for    tables in INT4: keep the embedding as bf16 or e4m3
 * Launcher   io.fireq.kernels.elementwise.EmbeddingGather      Oracle  io.fireq.kernels.elementwise.EmbeddingGatherOracle
 * Notes      none
 */
#pragma once

#include "fireq/common/check.cuh"
#include "fireq/ptx/cvt.cuh"
#include "fireq/ptx/griddep.cuh"

namespace fireq {

template <class Config>
__global__ void __launch_bounds__(Config::THREADS)
    embedding_gather(const i32* __restrict__ token_ids, const void* __restrict__ table,
                     const float* __restrict__ row_scale, bf16* __restrict__ out, int width, int vocab_size) {
    constexpr int VECTOR = Config::VECTOR;

    allow_next_kernel();
    wait_for_previous_kernel();
    const int token = blockIdx.x;
    const int id = token_ids[token];
    trap_unless(id >= 0 && id < vocab_size);

    auto* to = reinterpret_cast<Packed<bf16, VECTOR>*>(out + i64(token) * width);
    for (int i = threadIdx.x; i < width / VECTOR; i += Config::THREADS) {
        if constexpr (Config::TABLE_E4M3) {
            const auto* row = reinterpret_cast<const Packed<e4m3, VECTOR>*>(static_cast<const e4m3*>(table) + i64(id) * width);
            const Packed<e4m3, VECTOR> codes = row[i];
            Packed<bf16, VECTOR> values;
#pragma unroll
            for (int j = 0; j < VECTOR; j++) {
                values.at[j] = to_bf16(row_scale[id] * to_float(codes.at[j]));
            }
            to[i] = values;
        } else {
            const auto* row = reinterpret_cast<const Packed<bf16, VECTOR>*>(static_cast<const bf16*>(table) + i64(id) * width);
            to[i] = row[i];
        }
    }
}

}  // namespace fireq
