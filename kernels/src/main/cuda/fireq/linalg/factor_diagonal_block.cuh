/*
 * factor_diagonal_block
 *
 * Computes   lower the Cholesky factor of a, lower * lower^T = a, and inverse = lower^-1, both with zeros above the diagonal
 * Operands   name      dtype   shape               layout / alignment       lives in
 *            a         f32     [n, n]              rows lda apart, only on and below the diagonal is read    workspace
 *            lower     f32     [n, n]              rows ld_lower apart      workspace
 *            inverse   f32     [n, n]              rows BLOCK apart         workspace
 *            status    i32     [1]                 -1, or the first pivot that was not positive    workspace
 * Numerics   float64 inside, one rounding of each result. A pivot that is not above 0, NaN included, is replaced by 1 and
 *            noted as first_index + its place, unless an earlier one is
 * Work       one CTA; the column of each pivot is divided, then the triangle behind it is updated by all threads. The
 *            inverse is made column by column, one thread each, in the free half of the same tile
 * Pipeline   none: this block is a link of a chain, the products between are f32_gemm's
 * Smem map   0                     8 * BLOCK * (BLOCK + 1)   lower, and the inverse transposed above its diagonal
 *            + 8 * BLOCK           reciprocal pivots
 * Barriers   0 (__syncthreads)
 * Requires   n <= BLOCK
 * Not for    whole matrices: see the launcher
 * Launcher   io.fireq.kernels.linalg.InverseCholesky      Oracle  io.fireq.kernels.linalg.MatrixOracle
 * Notes      none
 */
#pragma once

#include "fireq/common/math.cuh"

namespace fireq {

template <class Config>
__global__ void __launch_bounds__(Config::THREADS)
    factor_diagonal_block(const float* __restrict__ a, float* __restrict__ lower, float* __restrict__ inverse,
                          i32* __restrict__ status, int n, int lda, int ld_lower, int first_index) {
    constexpr int BLOCK = Config::BLOCK;
    constexpr int PITCH = BLOCK + 1;
    constexpr int ACROSS = 16;
    constexpr int DOWN = Config::THREADS / ACROSS;
    static_assert(Config::THREADS >= BLOCK, "a thread per column of the inverse");

    extern __shared__ double tile[];
    double* reciprocals = tile + BLOCK * PITCH;

    for (int e = threadIdx.x; e < n * n; e += Config::THREADS) {
        const int i = e / n;
        const int j = e % n;
        tile[i * PITCH + j] = j <= i ? double(a[i64(i) * lda + j]) : 0.0;
    }
    for (int j = 0; j < n; j++) {
        __syncthreads();
        const double pivot = tile[j * PITCH + j];
        const bool usable = pivot > 0.0;
        const double root = usable ? sqrt(pivot) : 1.0;
        if (threadIdx.x == 0) {
            reciprocals[j] = 1.0 / root;
            if (!usable && *status < 0) {
                *status = first_index + j;
            }
        }
        for (int i = j + 1 + threadIdx.x; i < n; i += Config::THREADS) {
            tile[i * PITCH + j] /= root;
        }
        __syncthreads();
        if (threadIdx.x == 0) {
            tile[j * PITCH + j] = root;
        }
        for (int i = j + 1 + threadIdx.x / ACROSS; i < n; i += DOWN) {
            for (int column = j + 1 + threadIdx.x % ACROSS; column <= i; column += ACROSS) {
                tile[i * PITCH + column] -= tile[i * PITCH + j] * tile[column * PITCH + j];
            }
        }
    }
    __syncthreads();

    const int column = threadIdx.x;
    if (column < n) {
        for (int i = column + 1; i < n; i++) {
            double sum = tile[i * PITCH + column] * reciprocals[column];
            for (int p = column + 1; p < i; p++) {
                sum += tile[i * PITCH + p] * tile[column * PITCH + p];
            }
            tile[column * PITCH + i] = -sum * reciprocals[i];
        }
    }
    __syncthreads();
    for (int e = threadIdx.x; e < n * n; e += Config::THREADS) {
        const int i = e / n;
        const int j = e % n;
        lower[i64(i) * ld_lower + j] = j <= i ? float(tile[i * PITCH + j]) : 0.0f;
        inverse[i * BLOCK + j] = j < i ? float(tile[j * PITCH + i]) : j == i ? float(reciprocals[i]) : 0.0f;
    }
}

}  // namespace fireq
