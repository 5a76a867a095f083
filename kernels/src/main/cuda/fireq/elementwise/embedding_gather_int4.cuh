/*
 * embedding_gather_int4
 *
 * Computes   out[t,:] = bf16(row_scale[id] * e4m3(values[code] * group_scale[id, :])), id = token_ids[t]
 * Operands   name         dtype   shape                            layout / alignment              lives in
 *            token_ids    i32     [n_tokens]                       contiguous                      step inputs
 *            codes        int4    [vocab_size, ceil(width/2)]      checkpoint order, row-major     weights
 *            group_scale  e4m3    [vocab_size, width/group_size]   row-major                       weights
 *            row_scale    f32     [vocab_size]                     contiguous                      weights
 *            values       f32     [16]                             by nibble                       weights
 *            out          bf16    [n_tokens, width]                row-major                       activations
 * Numerics   two roundings, to e4m3 and to bf16, where the definition has them; exact against the oracle
 * Work       one CTA per token; threads stride over the row
 * Pipeline   none
 * Smem map   none
 * Barriers   none
 * Requires   group_size divides width (launcher checks); 0 <= token id < vocab_size (traps)
 * Not for    bf16 and e4m3 tables: embedding_gather copies several elements at once
 * Launcher   io.fireq.kernels.elementwise.EmbeddingGather      Oracle  io.fireq.kernels.elementwise.EmbeddingGatherOracle
 * Notes      none
 */
#pragma once

#include "fireq/common/check.cuh"
#include "fireq/ptx/cvt.cuh"
#include "fireq/ptx/griddep.cuh"
#include "fireq/quant/int4.cuh"

namespace fireq {

template <class Config>
__global__ void __launch_bounds__(Config::THREADS)
    embedding_gather_int4(const i32* __restrict__ token_ids, const u8* __restrict__ codes,
                          const e4m3* __restrict__ group_scale, const float* __restrict__ row_scale,
                          const float* __restrict__ values, bf16* __restrict__ out, int width, int group_size,
                          int vocab_size) {
    allow_next_kernel();
    wait_for_previous_kernel();
    const int token = blockIdx.x;
    const i64 id = token_ids[token];
    trap_unless(id >= 0 && id < vocab_size);

    const u8* row = codes + id * ((width + 1) / 2);
    const e4m3* scales = group_scale + id * (width / group_size);
    for (int i = threadIdx.x; i < width; i += Config::THREADS) {
        const float value = int4_value(int4_nibble(row, i), to_float(scales[i / group_size]), values);
        out[i64(token) * width + i] = to_bf16(row_scale[id] * value);
    }
}

}  // namespace fireq
