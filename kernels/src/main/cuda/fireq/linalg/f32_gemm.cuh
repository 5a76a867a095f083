/*
 * f32_gemm
 *
 * Computes   c[z] = (add ? c[z] : 0) + alpha * a[z] * b[z / b_share],  one product per z
 * Operands   name   dtype   shape                             layout / alignment                        lives in
 *            a      f32     [m, k], [k, m] if A_TRANSPOSED    rows lda apart, VECTOR elements           any
 *            b      f32     [k, n], [n, k] if B_TRANSPOSED    rows ldb apart, VECTOR elements           any
 *            c      f32     [m, n]                            rows ldc apart, VECTOR elements           any
 * Numerics   float32 with fused multiply-add, sums in the order of k; the same bits on every run. Expected error against
 *            the oracle: k roundings of the running sum
 * Work       grid.x tiles of TILE columns, grid.y tiles of TILE rows, grid.z products. Eight warps share a tile, four
 *            down and two across; a thread owns 8 x 8 outputs, in four runs of 4 x 4:
 *              warp    32 x 64    lane   4 down, 8 across    row   16 * (i / 4) + 4 * lane_m + i % 4
 *                                                            col   32 * (j / 4) + 4 * lane_n + j % 4
 *            Of a square result only the tiles on and above, or on and below, the diagonal are made if part says so
 * Pipeline   two tiles in shared memory: the next is loaded to registers while one is multiplied
 * Smem map   0     2 * TILE_K * PITCH * 4   a, k-major
 *            8.4K  2 * TILE_K * PITCH * 4   b, k-major
 * Barriers   0 (__syncthreads)
 * Requires   with VECTOR 4: what lies contiguous, m or n or k, strides and batch distances multiples of 4, 16-byte
 *            aligned addresses (launcher picks VECTOR); c overlaps neither a nor b
 * Not for    serving: the tensor cores' formats are faster and precise enough there
 * Launcher   io.fireq.kernels.linalg.F32Gemm      Oracle  io.fireq.kernels.linalg.MatrixOracle
 * Notes      docs/performance/0007-quantizing-8b.md
 */
#pragma once

#include "fireq/common/math.cuh"

namespace fireq {

enum ResultPart { ALL_OF_IT = 0, UPPER_PART = 1, LOWER_PART = 2 };

constexpr int F32_GEMM_TILE = 128;
constexpr int F32_GEMM_TILE_K = 8;
constexpr int F32_GEMM_PITCH = F32_GEMM_TILE + 4;  // rows stay 16-byte aligned
constexpr int F32_GEMM_THREADS = 256;

// One operand's way from memory to shared memory: a tile of TILE rows (of a, or columns of b) by TILE_K.
template <bool K_CONTIGUOUS, int VECTOR>
struct F32TileLoader {
    static constexpr int VECTORS = F32_GEMM_TILE * F32_GEMM_TILE_K / F32_GEMM_THREADS / VECTOR;
    static constexpr int PER_LINE = (K_CONTIGUOUS ? F32_GEMM_TILE_K : F32_GEMM_TILE) / VECTOR;

    Packed<float, VECTOR> held[VECTORS];

    static __device__ __forceinline__ int line(int v) { return (threadIdx.x + v * F32_GEMM_THREADS) / PER_LINE; }
    static __device__ __forceinline__ int along(int v) {
        return (threadIdx.x + v * F32_GEMM_THREADS) % PER_LINE * VECTOR;
    }

    __device__ __forceinline__ void load(const float* x, int stride, int first_row, int rows, int first_k, int k) {
#pragma unroll
        for (int v = 0; v < VECTORS; v++) {
            const int row = first_row + (K_CONTIGUOUS ? line(v) : along(v));
            const int at_k = first_k + (K_CONTIGUOUS ? along(v) : line(v));
            const i64 index = K_CONTIGUOUS ? i64(row) * stride + at_k : i64(at_k) * stride + row;
            held[v] = Packed<float, VECTOR>{};
            if (row < rows && at_k < k) {
                held[v] = *reinterpret_cast<const Packed<float, VECTOR>*>(x + index);
            }
        }
    }

    __device__ __forceinline__ void store(float (&tile)[F32_GEMM_TILE_K][F32_GEMM_PITCH]) const {
#pragma unroll
        for (int v = 0; v < VECTORS; v++) {
            if constexpr (K_CONTIGUOUS) {
#pragma unroll
                for (int e = 0; e < VECTOR; e++) {
                    tile[along(v) + e][line(v)] = held[v].at[e];
                }
            } else {
                *reinterpret_cast<Packed<float, VECTOR>*>(&tile[line(v)][along(v)]) = held[v];
            }
        }
    }
};

template <class Config>
__global__ void __launch_bounds__(F32_GEMM_THREADS, 2)
    f32_gemm(const float* __restrict__ a, const float* __restrict__ b, float* __restrict__ c, int m, int n, int k,
             int lda, int ldb, int ldc, int a_batch, int b_batch, int c_batch, int b_share, float alpha, int add,
             int part) {
    constexpr int TILE = F32_GEMM_TILE;
    constexpr int TILE_K = F32_GEMM_TILE_K;
    constexpr int VECTOR = Config::VECTOR;
    static_assert(VECTOR == 1 || VECTOR == 4, "a run of four outputs is stored at once, or one by one");

    __shared__ alignas(16) float a_tile[2][TILE_K][F32_GEMM_PITCH];
    __shared__ alignas(16) float b_tile[2][TILE_K][F32_GEMM_PITCH];

    const int first_m = blockIdx.y * TILE;
    const int first_n = blockIdx.x * TILE;
    if ((part == UPPER_PART && first_n + TILE <= first_m) || (part == LOWER_PART && first_m + TILE <= first_n)) {
        return;
    }
    a += i64(blockIdx.z) * a_batch;
    b += i64(blockIdx.z) / b_share * b_batch;
    c += i64(blockIdx.z) * c_batch;
    const int warp = threadIdx.x / WARP_SIZE;
    const int lane = threadIdx.x % WARP_SIZE;
    const int thread_m = warp / 2 * 32 + lane / 8 * 4;
    const int thread_n = warp % 2 * 64 + lane % 8 * 4;

    F32TileLoader<!Config::A_TRANSPOSED, VECTOR> a_loader;
    F32TileLoader<Config::B_TRANSPOSED, VECTOR> b_loader;
    float sum[8][8] = {};
    a_loader.load(a, lda, first_m, m, 0, k);
    b_loader.load(b, ldb, first_n, n, 0, k);
    a_loader.store(a_tile[0]);
    b_loader.store(b_tile[0]);
    __syncthreads();
    int stage = 0;
    for (int first_k = 0; first_k < k; first_k += TILE_K) {
        const bool has_next = first_k + TILE_K < k;
        if (has_next) {
            a_loader.load(a, lda, first_m, m, first_k + TILE_K, k);
            b_loader.load(b, ldb, first_n, n, first_k + TILE_K, k);
        }
#pragma unroll
        for (int kk = 0; kk < TILE_K; kk++) {
            Packed<float, 4> as[2];
            Packed<float, 4> bs[2];
#pragma unroll
            for (int half = 0; half < 2; half++) {
                as[half] = *reinterpret_cast<const Packed<float, 4>*>(&a_tile[stage][kk][thread_m + 16 * half]);
                bs[half] = *reinterpret_cast<const Packed<float, 4>*>(&b_tile[stage][kk][thread_n + 32 * half]);
            }
#pragma unroll
            for (int i = 0; i < 8; i++) {
#pragma unroll
                for (int j = 0; j < 8; j++) {
                    sum[i][j] = fmaf(as[i / 4].at[i % 4], bs[j / 4].at[j % 4], sum[i][j]);
                }
            }
        }
        if (has_next) {
            a_loader.store(a_tile[1 - stage]);
            b_loader.store(b_tile[1 - stage]);
        }
        __syncthreads();
        stage = 1 - stage;
    }

#pragma unroll
    for (int i = 0; i < 8; i++) {
        const int row = first_m + thread_m + 16 * (i / 4) + i % 4;
#pragma unroll
        for (int j = 0; j < 8; j += VECTOR) {
            const int column = first_n + thread_n + 32 * (j / 4) + j % 4;
            if (row < m && column < n) {
                auto* target = reinterpret_cast<Packed<float, VECTOR>*>(c + i64(row) * ldc + column);
                Packed<float, VECTOR> result{};
                if (add != 0) {
                    result = *target;
                }
#pragma unroll
                for (int e = 0; e < VECTOR; e++) {
                    result.at[e] = fmaf(alpha, sum[i][j + e], result.at[e]);
                }
                *target = result;
            }
        }
    }
}

}  // namespace fireq
