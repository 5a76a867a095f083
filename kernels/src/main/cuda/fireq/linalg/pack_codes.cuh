/*
 * pack_codes
 *
 * Computes   packed[row,b] = codes[row,2b] | codes[row,2b+1] << 4; the last code of an odd row stands alone
 * Operands   name     dtype   shape              layout / alignment   lives in
 *            codes    u8      [n, k]             0..15                workspace
 *            packed   u8      [n, ceil(k/2)]     checkpoint order     workspace
 * Numerics   exact
 * Work       grid.x runs of THREADS bytes
 * Pipeline   none
 * Smem map   none
 * Barriers   none
 * Requires   nothing
 * Not for    kernel order: repack_int4
 * Launcher   io.fireq.kernels.linalg.GroupRounding      Oracle  io.fireq.kernels.linalg.GroupRoundingOracle
 * Notes      none
 */
#pragma once

#include "fireq/common/math.cuh"

namespace fireq {

template <class Config>
__global__ void __launch_bounds__(Config::THREADS)
    pack_codes(const u8* __restrict__ codes, u8* __restrict__ packed, int n, int k) {
    const int row_bytes = ceil_div(k, 2);
    const i64 i = i64(blockIdx.x) * Config::THREADS + threadIdx.x;
    if (i >= i64(n) * row_bytes) {
        return;
    }
    const i64 first = i / row_bytes * k + i % row_bytes * 2;
    const bool has_second = i % row_bytes * 2 + 1 < k;
    packed[i] = u8((codes[first] & 15) | (has_second ? (codes[first + 1] & 15) << 4 : 0));
}

}  // namespace fireq
