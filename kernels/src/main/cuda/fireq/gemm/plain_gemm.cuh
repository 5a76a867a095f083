/*
 * plain_gemm
 *
 * Computes   y[t,n] = x_scale[t] * row_scale[n] * sum_k x[t,k] * w8[n,k], then the epilogue:
 *              STORE         out[t,n] = y[t,n]
 *              RESIDUAL_ADD  out[t,n] = out[t,n] + y[t,n]
 *              SILU_MUL      out[t,i] = silu(y[t,i]) * y[t, n/2 + i],  i < n/2
 *            w8 = e4m3(values[code] * group_scale[n, k / group_size]), or the weight's e4m3 byte
 * Operands   name         dtype         shape                        layout / alignment                lives in
 *            x            e4m3          [m, k]                       row-major                         activations
 *            x_scale      f32           [m]                          contiguous                        activations
 *            weight       int4 | e4m3   [n, ceil(k/2)] | [n, k]      checkpoint order, row-major       weights
 *            group_scale  e4m3          [n, k / group_size]          row-major; null for e4m3          weights
 *            row_scale    f32           [n]                          contiguous                        weights
 *            values       f32           [16]                         by nibble; null for e4m3          weights
 *            out          bf16 | f32    [m, n], [m, n/2] SILU_MUL    row-major                         activations
 * Numerics   products exact, float32 sums in the order of k, epilogue in float32, one rounding where out is bf16.
 *            Expected error against the oracle: k roundings of the running sum
 * Work       grid.x tiles of TILE_N outputs, grid.y tiles of TILE_M tokens; a thread owns THREAD_M x THREAD_N outputs
 * Pipeline   none: both tiles are decoded to float in shared memory, one k step at a time
 * Smem map   0  4 * TILE_K * (TILE_M + 1)            x, k-major, padded against bank conflicts
 *            +  4 * HALVES * TILE_K * (TILE_N + 1)   weights, likewise
 *            +  64                                   values
 * Barriers   0 (__syncthreads)
 * Requires   group_size divides k, n even for SILU_MUL (launcher checks); any m, n, k otherwise
 * Not for    speed: this is the definition that the fast kernels are compared with, and the fallback for odd shapes
 * Launcher   io.fireq.kernels.gemm.PlainGemm      Oracle  io.fireq.kernels.gemm.LinearOracle
 * Notes      none
 */
#pragma once

#include "fireq/common/math.cuh"
#include "fireq/gemm/epilogue.cuh"
#include "fireq/ptx/griddep.cuh"
#include "fireq/quant/e4m3.cuh"
#include "fireq/quant/int4.cuh"

namespace fireq {

template <class Config>
__global__ void __launch_bounds__(Config::THREADS)
    plain_gemm(const e4m3* __restrict__ x, const float* __restrict__ x_scale, const u8* __restrict__ weight,
               const e4m3* __restrict__ group_scale, const float* __restrict__ row_scale,
               const float* __restrict__ values, void* __restrict__ out, int m, int n, int k, int group_size) {
    constexpr int TILE_M = Config::TILE_M;
    constexpr int TILE_N = Config::TILE_N;
    constexpr int TILE_K = Config::TILE_K;
    constexpr int THREADS_N = 32;
    constexpr int THREADS_M = Config::THREADS / THREADS_N;
    constexpr int THREAD_M = TILE_M / THREADS_M;
    constexpr int THREAD_N = TILE_N / THREADS_N;
    constexpr int HALVES = Config::EPILOGUE == SILU_MUL ? 2 : 1;
    static_assert(TILE_M % THREADS_M == 0 && TILE_N % THREADS_N == 0, "every thread owns whole outputs");
    static_assert(Config::WEIGHT_BITS == 4 || Config::WEIGHT_BITS == 8, "weights are int4 or e4m3");
    static_assert(!Config::OUT_F32 || Config::EPILOGUE == STORE, "only a plain store keeps float32");

    __shared__ float x_tile[TILE_K][TILE_M + 1];
    __shared__ float w_tile[HALVES][TILE_K][TILE_N + 1];
    __shared__ float value_of[16];

    allow_next_kernel();
    wait_for_previous_kernel();
    const int n_out = n / HALVES;
    const int first_n = blockIdx.x * TILE_N;
    const int first_m = blockIdx.y * TILE_M;
    const int thread_n = threadIdx.x % THREADS_N;
    const int thread_m = threadIdx.x / THREADS_N;
    if (Config::WEIGHT_BITS == 4 && threadIdx.x < 16) {
        value_of[threadIdx.x] = values[threadIdx.x];
    }

    float sum[HALVES][THREAD_M][THREAD_N] = {};
    for (int first_k = 0; first_k < k; first_k += TILE_K) {
        __syncthreads();
        for (int i = threadIdx.x; i < TILE_M * TILE_K; i += Config::THREADS) {
            const int row = first_m + i / TILE_K;
            const int column = first_k + i % TILE_K;
            const bool inside = row < m && column < k;
            x_tile[i % TILE_K][i / TILE_K] = inside ? to_float(x[i64(row) * k + column]) : 0.0f;
        }
#pragma unroll
        for (int part = 0; part < HALVES; part++) {
            for (int i = threadIdx.x; i < TILE_N * TILE_K; i += Config::THREADS) {
                const int local = first_n + i / TILE_K;
                const i64 row = local + i64(part) * n_out;
                const int column = first_k + i % TILE_K;
                float value = 0.0f;
                if (local < n_out && column < k) {
                    if constexpr (Config::WEIGHT_BITS == 4) {
                        const int code = int4_nibble(weight + row * ((k + 1) / 2), column);
                        const float scale = to_float(group_scale[row * (k / group_size) + column / group_size]);
                        value = int4_value(code, scale, value_of);
                    } else {
                        value = to_float(e4m3{weight[row * k + column]});
                    }
                }
                w_tile[part][i % TILE_K][i / TILE_K] = value;
            }
        }
        __syncthreads();
#pragma unroll 4
        for (int kk = 0; kk < TILE_K; kk++) {
            float xs[THREAD_M];
#pragma unroll
            for (int i = 0; i < THREAD_M; i++) {
                xs[i] = x_tile[kk][thread_m + i * THREADS_M];
            }
#pragma unroll
            for (int part = 0; part < HALVES; part++) {
#pragma unroll
                for (int j = 0; j < THREAD_N; j++) {
                    const float w = w_tile[part][kk][thread_n + j * THREADS_N];
#pragma unroll
                    for (int i = 0; i < THREAD_M; i++) {
                        sum[part][i][j] = fmaf(xs[i], w, sum[part][i][j]);
                    }
                }
            }
        }
    }

#pragma unroll
    for (int i = 0; i < THREAD_M; i++) {
        const int row = first_m + thread_m + i * THREADS_M;
#pragma unroll
        for (int j = 0; j < THREAD_N; j++) {
            const int column = first_n + thread_n + j * THREADS_N;
            if (row >= m || column >= n_out) {
                continue;
            }
            const i64 index = i64(row) * n_out + column;
            const float y = x_scale[row] * row_scale[column] * sum[0][i][j];
            if constexpr (Config::OUT_F32) {
                static_cast<float*>(out)[index] = y;
            } else {
                bf16* target = static_cast<bf16*>(out) + index;
                if constexpr (Config::EPILOGUE == SILU_MUL) {
                    const float up = x_scale[row] * row_scale[n_out + column] * sum[1][i][j];
                    *target = to_bf16(silu(y) * up);
                } else if constexpr (Config::EPILOGUE == RESIDUAL_ADD) {
                    *target = to_bf16(to_float(*target) + y);
                } else {
                    *target = to_bf16(y);
                }
            }
        }
    }
}

}  // namespace fireq
