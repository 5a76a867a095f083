// From a warpgroup's float32 sums to the layer's output.
//
// Thread t holds, for i = 0, 1, .., the sums 4 * i + {0, 1, 2, 3} of row r, tokens c and c + 1, then row r + 8, the same
// tokens; r = 16 * (t / 32) + t % 32 / 4, c = 8 * i + 2 * (t % 4). In a gated weight row r is a gate and row r + 8 its up
// row, so that both halves of a product meet in one thread.
//
// Two ways out: store_direct writes from registers and takes any shape; fill_tile goes through swizzled tiles in shared
// memory and TMA, which cuts off what lies outside [m, n].
#pragma once

#include "fireq/common/math.cuh"
#include "fireq/gemm/epilogue.cuh"
#include "fireq/ptx/approx.cuh"
#include "fireq/ptx/cvt.cuh"
#include "fireq/ptx/ldmatrix.cuh"
#include "fireq/ptx/tma.cuh"

namespace fireq {

// Scales of the two rows of a thread.
struct RowScales {
    float upper;
    float lower;

    // `row` is the first of the warpgroup; rows from `rows` on are padding.
    static __device__ __forceinline__ RowScales load(const float* row_scale, int row, int rows, int thread) {
        const int upper = row + thread / 32 * 16 + thread % 32 / 4;
        const int lower = upper + 8;
        return RowScales{upper < rows ? row_scale[upper] : 0.0f, lower < rows ? row_scale[lower] : 0.0f};
    }
};

// silu of math.cuh, off by a few ulp: far below what bf16 resolves.
__device__ __forceinline__ float silu_approx(float g) {
    constexpr float LOG2_E = 1.4426950408889634f;
    return g * reciprocal_approx(1.0f + exp2_approx(-LOG2_E * g));
}

// Where a warp's sums of 16 rows and 8 tokens go, with what is added to them: fetched before they are known.
template <int EPILOGUE, bool OUT_F32>
class OutputFragment {
  public:
    // `row` and `token` are the first of the fragment; m and n are the shape of out.
    __device__ __forceinline__ OutputFragment(void* out, int row, int token, int m, int n, int lane)
        : out_(out), channel_((EPILOGUE == SILU_MUL ? row / 2 : row) + lane / 4), token_(token + lane % 4 * 2), m_(m), n_(n) {
        if constexpr (EPILOGUE == RESIDUAL_ADD) {
#pragma unroll
            for (int odd = 0; odd < 2; odd++) {
                const int t = token_ + odd;
#pragma unroll
                for (int half = 0; half < 2; half++) {
                    const int channel = channel_ + 8 * half;
                    added_[odd][half] =
                        t < m && channel < n ? static_cast<const bf16*>(out)[i64(t) * n + channel] : bf16{0};
                }
            }
        }
    }

    // `x_scale` has m values.
    __device__ __forceinline__ void store(const float* sum, const RowScales& row_scales, const float* x_scale) const {
#pragma unroll
        for (int odd = 0; odd < 2; odd++) {
            const int t = token_ + odd;
            if (t >= m_) {
                continue;
            }
            const float scale = x_scale[t];
            const float upper = scale * row_scales.upper * sum[odd];
            const float lower = scale * row_scales.lower * sum[2 + odd];
            const i64 at = i64(t) * n_ + channel_;
            if constexpr (EPILOGUE == SILU_MUL) {
                if (channel_ < n_) {
                    static_cast<bf16*>(out_)[at] = to_bf16(silu_approx(upper) * lower);
                }
            } else {
#pragma unroll
                for (int half = 0; half < 2; half++) {
                    if (channel_ + 8 * half < n_) {
                        const float y = half == 0 ? upper : lower;
                        if constexpr (OUT_F32) {
                            static_cast<float*>(out_)[at + 8 * half] = y;
                        } else {
                            static_cast<bf16*>(out_)[at + 8 * half] =
                                to_bf16(EPILOGUE == RESIDUAL_ADD ? to_float(added_[odd][half]) + y : y);
                        }
                    }
                }
            }
        }
    }

  private:
    void* out_;
    int channel_;
    int token_;
    int m_;
    int n_;
    bf16 added_[2][2];
};

// `row` and `token` are the first of the warpgroup's tile.
template <int EPILOGUE, bool OUT_F32, int REGISTERS>
__device__ __forceinline__ void store_direct(const float (&sum)[REGISTERS], const RowScales& row_scales,
                                             const float* x_scale, void* out, int row, int token, int m, int n,
                                             int thread) {
#pragma unroll
    for (int i = 0; i < REGISTERS / 4; i++) {
        const OutputFragment<EPILOGUE, OUT_F32> fragment(out, row + thread / 32 * 16, token + 8 * i, m, n, thread % 32);
        fragment.store(sum + 4 * i, row_scales, x_scale);
    }
}

// What TMA exchanges with out at a time: [OUT_TOKENS] rows of one warpgroup's channels, bf16, in 16-byte pieces permuted
// as TMA's swizzle of that row width does.
constexpr int OUT_TOKENS = 32;

template <int EPILOGUE>
struct OutTile {
    static constexpr int CHANNELS = EPILOGUE == SILU_MUL ? 32 : 64;
    static constexpr int ROW_BYTES = CHANNELS * 2;
    static constexpr int BYTES = OUT_TOKENS * ROW_BYTES;

    static __device__ __forceinline__ u8* piece(u8* tile, int token, int index) {
        const int permuted = ROW_BYTES == 128 ? index ^ token % 8 : index ^ token / 2 % 4;
        return tile + token * ROW_BYTES + permuted * 16;
    }
};

// Replaces the tile's contents by the result of its tokens; with RESIDUAL_ADD they are what is added to. `sum` are the
// sums of these tokens, `x_scale`, in shared memory, their scales.
template <int EPILOGUE>
__device__ __forceinline__ void fill_tile(u8* tile, const float* sum, const RowScales& row_scales, const float* x_scale,
                                          int thread) {
    using Tile = OutTile<EPILOGUE>;
    // An 8x8 matrix is 8 tokens of 8 channels; four make one access. Without a gate two of them lie beside each other.
    constexpr int TOKENS = EPILOGUE == SILU_MUL ? 32 : 16;
    static_assert(OUT_TOKENS % TOKENS == 0, "a tile is whole accesses");
    const int warp = thread / 32;
    const int lane = thread % 32;
#pragma unroll
    for (int first = 0; first < OUT_TOKENS; first += TOKENS) {
        u32 matrix[4];
        u8* row;
        if constexpr (EPILOGUE == SILU_MUL) {
            row = Tile::piece(tile, first + lane, warp);
        } else {
            row = Tile::piece(tile, first + lane / 16 * 8 + lane % 8, 2 * warp + lane / 8 % 2);
        }
        if constexpr (EPILOGUE == RESIDUAL_ADD) {
            ldmatrix_x4_trans(matrix, row);
        }
#pragma unroll
        for (int j = 0; j < TOKENS / 8; j++) {
            const int i = first / 8 + j;
            const Packed<float, 2> scale = *reinterpret_cast<const Packed<float, 2>*>(x_scale + 8 * i + lane % 4 * 2);
            const float upper0 = scale.at[0] * row_scales.upper * sum[4 * i];
            const float upper1 = scale.at[1] * row_scales.upper * sum[4 * i + 1];
            const float lower0 = scale.at[0] * row_scales.lower * sum[4 * i + 2];
            const float lower1 = scale.at[1] * row_scales.lower * sum[4 * i + 3];
            if constexpr (EPILOGUE == SILU_MUL) {
                matrix[j] = to_bf16x2(silu_approx(upper0) * lower0, silu_approx(upper1) * lower1);
            } else if constexpr (EPILOGUE == RESIDUAL_ADD) {
                const u32 a = matrix[2 * j];
                const u32 b = matrix[2 * j + 1];
                matrix[2 * j] = to_bf16x2(to_float(bf16{u16(a & 0xffff)}) + upper0, to_float(bf16{u16(a >> 16)}) + upper1);
                matrix[2 * j + 1] =
                    to_bf16x2(to_float(bf16{u16(b & 0xffff)}) + lower0, to_float(bf16{u16(b >> 16)}) + lower1);
            } else {
                matrix[2 * j] = to_bf16x2(upper0, upper1);
                matrix[2 * j + 1] = to_bf16x2(lower0, lower1);
            }
        }
        stmatrix_x4_trans(row, matrix);
    }
}

}  // namespace fireq
