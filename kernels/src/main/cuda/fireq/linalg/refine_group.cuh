/*
 * refine_group
 *
 * Computes   of one group of columns of each row: column by column, the code that is best given all others,
 *              q'[j] = nearest(q[j] + slope[j] / gram[j,j]);   slope[i] -= (q'[j] - q[j]) * gram[j,i], all i of the group
 *            where slope is the gradient (w - q) * gram of the row's output error
 * Operands   name         dtype   shape                 layout / alignment                   lives in
 *            gradient     f32     [n, k]                of the state before this group       workspace
 *            gram         f32     [k, k]                second moments, positive diagonal    workspace
 *            levels       f32     [16]                  ascending                            workspace
 *            level_codes  i32     [16]                  code of each level, 0..15            workspace
 *            scales       e4m3    [n, k / group_size]   sigma; not changed                   workspace
 *            codes        u8      [n, k]                updated                              workspace
 *            rounded      f32     [n, k]                updated                              workspace
 *            changes      f32     [n, group_size]       q - q'                               workspace
 * Numerics   float32, operation by operation as written: bits equal the oracle's
 * Work       a warp per row; grid.x runs of rows
 * Pipeline   none
 * Smem map   per warp:  128  an Int4Grid
 *                       + 12 * group_size   slopes, values before, changes
 * Barriers   none (__syncwarp)
 * Requires   group_size divides k; the warps' shared memory fits (launcher checks)
 * Not for    serving
 * Launcher   io.fireq.kernels.linalg.GroupRounding      Oracle  io.fireq.kernels.linalg.GroupRoundingOracle
 * Notes      docs/performance/0007-quantizing-8b.md
 */
#pragma once

#include "fireq/linalg/int4_grid.cuh"

namespace fireq {

template <class Config>
__global__ void __launch_bounds__(Config::MAX_THREADS)
    refine_group(const float* __restrict__ gradient, const float* __restrict__ gram,
                 const float* __restrict__ levels, const i32* __restrict__ level_codes,
                 const e4m3* __restrict__ scales, u8* __restrict__ codes, float* __restrict__ rounded,
                 float* __restrict__ changes, int n, int k, int group_size, int group_index) {
    extern __shared__ u8 smem[];
    const int warp = threadIdx.x / WARP_SIZE;
    const int lane = threadIdx.x % WARP_SIZE;
    const i64 row = i64(blockIdx.x) * (blockDim.x / WARP_SIZE) + warp;
    if (row >= n) {
        return;  // as a whole warp
    }
    u8* mine = smem + warp * (sizeof(Int4Grid) + 12 * group_size);
    Int4Grid& grid = *reinterpret_cast<Int4Grid*>(mine);
    float* slope = reinterpret_cast<float*>(mine + sizeof(Int4Grid));
    float* before = slope + group_size;
    float* change_of = before + group_size;
    const int from = group_index * group_size;
    const float* block = gram + i64(from) * k + from;

    for (int j = lane; j < group_size; j += WARP_SIZE) {
        slope[j] = gradient[row * k + from + j];
        before[j] = rounded[row * k + from + j];
    }
    grid.scale(levels, to_float(scales[row * (k / group_size) + group_index]));

    for (int j = 0; j < group_size; j++) {
        const float* moments = block + i64(j) * k;
        const float old = before[j];
        const int rank = grid.nearest(old + slope[j] / moments[j]);
        const float change = grid.products[rank] - old;
        __syncwarp();
        if (change != 0.0f) {  // the same in all lanes
            for (int i = lane; i < group_size; i += WARP_SIZE) {
                slope[i] -= change * moments[i];
            }
            if (lane == 0) {
                codes[row * k + from + j] = u8(level_codes[rank]);
                rounded[row * k + from + j] = grid.products[rank];
            }
        }
        if (lane == 0) {
            change_of[j] = -change;
        }
        __syncwarp();
    }
    for (int j = lane; j < group_size; j += WARP_SIZE) {
        changes[row * group_size + j] = change_of[j];
    }
}

}  // namespace fireq
