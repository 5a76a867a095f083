/*
 * round_group
 *
 * Computes   of one group of columns of each row: sigma, the e4m3 value between 0.45 and 1.15 times what spans the group
 *            whose rounding has the least sum of importance * error^2 (the smallest of equals), and the codes. With
 *            FEEDBACK (GPTQ) columns are rounded one after the other, and the error of each, divided by its pivot, is
 *            taken back from the columns behind it in the group:
 *              e[j] = (x[j] - q[j]) / triangle[j,j];   x[i] -= e[j] * triangle[j,i], i > j
 * Operands   name         dtype   shape                 layout / alignment                            lives in
 *            rest         f32     [n, k]                what is left to round, in order               workspace
 *            triangle     f32     [k, k]                inverse Cholesky factor; FEEDBACK only        workspace
 *            importance   f32     [k]                   null for 1; with FEEDBACK 1 / triangle[j,j]^2 takes its place
 *            order        i32     [k]                   column that is j-th; null for j
 *            levels       f32     [16]                  ascending                                     workspace
 *            level_codes  i32     [16]                  code of each level, 0..15                     workspace
 *            codes        u8      [n, k]                in the columns' own order, like all results   workspace
 *            rounded      f32     [n, k]                e4m3(level * sigma)                           workspace
 *            scales       e4m3    [n, k / group_size]   sigma                                         workspace
 *            errors       f32     [n, group_size]       -e; FEEDBACK only                             workspace
 * Numerics   float32, operation by operation as written: given sigma, bits equal the oracle's. The error sums are added in
 *            the order of lanes, so where two sigmas are nearly equally good, either may be taken
 * Work       a warp per row and group; grid.x runs of rows, grid.y groups from first_group on (one with FEEDBACK)
 * Pipeline   none
 * Smem map   per warp:  128  an Int4Grid
 *                       + 8 * group_size   values, errors
 *                       + 4 * group_size   ranks
 * Barriers   none (__syncwarp)
 * Requires   group_size divides k; the warps' shared memory fits (launcher checks)
 * Not for    serving
 * Launcher   io.fireq.kernels.linalg.GroupRounding      Oracle  io.fireq.kernels.linalg.GroupRoundingOracle
 * Notes      docs/performance/0007-quantizing-8b.md
 */
#pragma once

#include "fireq/linalg/int4_grid.cuh"

namespace fireq {

constexpr float LOWEST_SIGMA = 0.45f;
constexpr float HIGHEST_SIGMA = 1.15f;

template <class Config>
__global__ void __launch_bounds__(Config::MAX_THREADS)
    round_group(const float* __restrict__ rest, const float* __restrict__ triangle,
                const float* __restrict__ importance, const i32* __restrict__ order, const float* __restrict__ levels,
                const i32* __restrict__ level_codes, u8* __restrict__ codes, float* __restrict__ rounded,
                e4m3* __restrict__ scales, float* __restrict__ errors, int n, int k, int group_size,
                int first_group) {
    constexpr bool FEEDBACK = Config::FEEDBACK;
    extern __shared__ u8 smem[];
    const int warp = threadIdx.x / WARP_SIZE;
    const int lane = threadIdx.x % WARP_SIZE;
    const i64 row = i64(blockIdx.x) * (blockDim.x / WARP_SIZE) + warp;
    if (row >= n) {
        return;  // as a whole warp
    }
    u8* mine = smem + warp * (sizeof(Int4Grid) + 12 * group_size);
    Int4Grid& grid = *reinterpret_cast<Int4Grid*>(mine);
    float* group = reinterpret_cast<float*>(mine + sizeof(Int4Grid));
    float* negated = group + group_size;
    i32* ranks = reinterpret_cast<i32*>(negated + group_size);
    const int from = (first_group + blockIdx.y) * group_size;
    const float* block = triangle + i64(from) * k + from;  // [group_size, group_size] on the diagonal

    float absmax = 0.0f;
    for (int j = lane; j < group_size; j += WARP_SIZE) {
        group[j] = rest[row * k + from + j];
        absmax = fmaxf(absmax, fabsf(group[j]));
        float weight = 1.0f;
        if constexpr (FEEDBACK) {
            const float pivot = block[i64(j) * k + j];
            weight = 1.0f / (pivot * pivot);
        } else if (importance != nullptr) {
            weight = importance[from + j];
        }
        negated[j] = weight;  // until errors take its place
    }
    absmax = warp_reduce(absmax, Max());

    const float nominal = absmax / levels[INT4_LEVELS - 1];
    const int lowest = max(1, int(to_e4m3(nominal * LOWEST_SIGMA).bits));
    const int highest = max(lowest, int(to_e4m3(nominal * HIGHEST_SIGMA).bits));
    int best = lowest;
    float best_error = __int_as_float(0x7f800000);
    for (int code = lowest; code <= highest; code++) {  // positive e4m3 values ascend with their codes
        grid.scale(levels, to_float(e4m3{u8(code)}));
        float error = 0.0f;
        for (int j = lane; j < group_size; j += WARP_SIZE) {
            const float difference = group[j] - grid.products[grid.nearest(group[j])];
            error += negated[j] * difference * difference;
        }
        error = warp_reduce(error, Sum());
        if (error < best_error) {
            best_error = error;
            best = code;
        }
    }
    grid.scale(levels, to_float(e4m3{u8(best)}));

    if constexpr (FEEDBACK) {
        for (int j = 0; j < group_size; j++) {
            const float x = group[j];
            const int rank = grid.nearest(x);
            const float* behind = block + i64(j) * k;
            const float error = (x - grid.products[rank]) / behind[j];
            __syncwarp();
            for (int i = lane; i < group_size; i += WARP_SIZE) {
                if (i > j) {
                    group[i] -= error * behind[i];
                } else if (i == j) {
                    negated[j] = -error;
                    ranks[j] = rank;
                }
            }
            __syncwarp();
        }
    } else {
        for (int j = lane; j < group_size; j += WARP_SIZE) {
            ranks[j] = grid.nearest(group[j]);
        }
        __syncwarp();
    }

    for (int j = lane; j < group_size; j += WARP_SIZE) {
        const int column = order == nullptr ? from + j : order[from + j];
        codes[row * k + column] = u8(level_codes[ranks[j]]);
        rounded[row * k + column] = grid.products[ranks[j]];
        if constexpr (FEEDBACK) {
            errors[row * group_size + j] = negated[j];
        }
    }
    if (lane == 0) {
        const int column = order == nullptr ? from : order[from];
        scales[row * (k / group_size) + column / group_size] = e4m3{u8(best)};
    }
}

}  // namespace fireq
