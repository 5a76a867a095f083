/*
 * mirror
 *
 * Computes   a[j,i] = a[i,j] for j > i: what is above the diagonal is copied below it
 * Operands   name   dtype   shape    layout / alignment   lives in
 *            a      f32     [k, k]   contiguous           any
 * Numerics   exact
 * Work       grid.x and grid.y tiles of TILE x TILE on and above the diagonal; a tile is turned in shared memory
 * Pipeline   none
 * Smem map   0  4 * TILE * (TILE + 1)   the tile, padded against bank conflicts
 * Barriers   0 (__syncthreads)
 * Requires   nothing
 * Not for    matrices that are not square
 * Launcher   io.fireq.kernels.linalg.MatrixOps      Oracle  io.fireq.kernels.linalg.MatrixOracle
 * Notes      none
 */
#pragma once

#include "fireq/common/math.cuh"

namespace fireq {

template <class Config>
__global__ void __launch_bounds__(Config::TILE * Config::LINES) mirror(float* __restrict__ a, int k) {
    constexpr int TILE = Config::TILE;
    __shared__ float tile[TILE][TILE + 1];

    if (blockIdx.x < blockIdx.y) {
        return;
    }
    const int first_row = blockIdx.y * TILE;
    const int first_column = blockIdx.x * TILE;
    const int x = threadIdx.x % TILE;
    for (int y = threadIdx.x / TILE; y < TILE; y += Config::LINES) {
        if (first_row + y < k && first_column + x < k) {
            tile[y][x] = a[i64(first_row + y) * k + first_column + x];
        }
    }
    __syncthreads();
    for (int y = threadIdx.x / TILE; y < TILE; y += Config::LINES) {
        const int row = first_column + y;
        const int column = first_row + x;
        if (row < k && column < row) {
            a[i64(row) * k + column] = tile[x][y];
        }
    }
}

}  // namespace fireq
