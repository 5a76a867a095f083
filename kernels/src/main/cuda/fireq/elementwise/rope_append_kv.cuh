/*
 * rope_append_kv
 *
 * Computes   for each token t at position p, from qkv[t,:] = [q heads | k heads | v heads]:
 *              rotate(x)[i]        = x[i] * cos[p,i] - x[i + HEAD_DIM/2] * sin[p,i]          i < HEAD_DIM/2
 *              rotate(x)[i + half] = x[i + half] * cos[p,i] + x[i] * sin[p,i]
 *              q: e4m3 rows of hadamard(rotate(q) / k_smooth), one scale per head
 *              k: INT4 rows of hadamard(rotate(k) * k_smooth), into the slot of t        v: INT4 rows of v, likewise
 * Operands   name         dtype      shape                                   layout / alignment   lives in
 *            qkv          bf16       [n_tokens, (n_heads + 2 n_kv_heads) * HEAD_DIM]   row-major  activations
 *            positions    i32        [n_tokens]                              contiguous           step inputs
 *            slots        i32        [n_tokens]                              contiguous           step inputs
 *            cos, sin     f32        [max_position, HEAD_DIM / 2]            row-major            weights
 *            k_smooth     f32        [n_kv_heads, HEAD_DIM]                  null: all ones       weights
 *            query        e4m3       [n_tokens, n_heads, HEAD_DIM]           row-major            activations
 *            query_scale  f32        [n_tokens, n_heads]                     row-major            activations
 *            k_*, v_*     KvLayout   see attention/paged_kv.cuh                                   KV cache
 * Numerics   float32 without contraction, so rotated values, scales, zeros and codes are the oracle's bit for bit.
 *            hadamard: over blocks of hadamard_block channels (0: none), butterflies of distance 1, 2, 4, .. and one
 *            multiplication by 1 / sqrt(hadamard_block). Formats of the cache: attention/kv_encode.cuh
 * Work       grid.x tokens, grid.y CTAs that share the heads of a token. LANES lanes take a head and 4 channels each: 2j,
 *            2j + 1 and the two that they are rotated with; the CTAs' lane groups stride over the heads
 * Pipeline   the next head is loaded while one is worked on
 * Smem map   none
 * Barriers   none
 * Requires   HEAD_DIM 64 or 128, one group per head, hadamard_block 0 or a power of two up to HEAD_DIM (launcher);
 *            slots within the cache and pairwise different, positions within the table (engine checks)
 * Not for    other head sizes, several groups per head: plain_rope_append_kv
 * Launcher   io.fireq.kernels.elementwise.RopeAppendKv      Oracle  io.fireq.kernels.elementwise.RopeAppendKvOracle
 * Notes      none
 */
#pragma once

#include "fireq/attention/kv_encode.cuh"
#include "fireq/attention/paged_kv.cuh"
#include "fireq/ptx/griddep.cuh"

namespace fireq {

// Four channels of a head: 2j, 2j + 1, half + 2j, half + 2j + 1, j being the lane's number in its group.
template <int HEAD_DIM>
struct HeadPart {
    static constexpr int LANES = HEAD_DIM / 4;
    static constexpr int HALF = HEAD_DIM / 2;

    float at[4];

    static __device__ __forceinline__ int lane() { return threadIdx.x % LANES; }

    // As it lies in memory.
    template <class T>
    struct Raw {
        Packed<T, 2> low;
        Packed<T, 2> high;

        static __device__ __forceinline__ Raw load(const T* head) {
            return Raw{reinterpret_cast<const Packed<T, 2>*>(head)[lane()],
                       reinterpret_cast<const Packed<T, 2>*>(head + HALF)[lane()]};
        }
    };

    template <class T>
    static __device__ __forceinline__ HeadPart of(const Raw<T>& raw) {
        return HeadPart{{as_float(raw.low.at[0]), as_float(raw.low.at[1]), as_float(raw.high.at[0]),
                         as_float(raw.high.at[1])}};
    }

    __device__ __forceinline__ void rotate(const Packed<float, 2>& cos, const Packed<float, 2>& sin) {
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const float first = at[i];
            const float second = at[i + 2];
            at[i] = first * cos.at[i] - second * sin.at[i];
            at[i + 2] = second * cos.at[i] + first * sin.at[i];
        }
    }

    __device__ __forceinline__ void hadamard(int block, float factor) {
        butterfly(at[0], at[1]);
        butterfly(at[2], at[3]);
#pragma unroll
        for (int distance = 2; distance < HALF; distance *= 2) {
            if (distance < block) {
                const bool is_upper = lane() & distance / 2;
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    const float other = __shfl_xor_sync(0xffffffffu, at[i], distance / 2);
                    at[i] = is_upper ? other - at[i] : at[i] + other;
                }
            }
        }
        if (HALF < block) {
            butterfly(at[0], at[2]);
            butterfly(at[1], at[3]);
        }
#pragma unroll
        for (int i = 0; i < 4; i++) {
            at[i] *= factor;
        }
    }

    template <class Op>
    __device__ __forceinline__ float reduce(float value, Op op) const {
#pragma unroll
        for (int distance = LANES / 2; distance > 0; distance /= 2) {
            value = op(value, __shfl_xor_sync(0xffffffffu, value, distance));
        }
        return value;
    }

  private:
    static __device__ __forceinline__ float as_float(bf16 x) { return to_float(x); }
    static __device__ __forceinline__ float as_float(float x) { return x; }

    static __device__ __forceinline__ void butterfly(float& lower, float& upper) {
        const float difference = lower - upper;
        lower = lower + upper;
        upper = difference;
    }
};

template <class Config>
__global__ void __launch_bounds__(Config::THREADS)
    rope_append_kv(const bf16* __restrict__ qkv, const i32* __restrict__ positions, const i32* __restrict__ slots,
                   const float* __restrict__ cos, const float* __restrict__ sin, const float* __restrict__ k_smooth,
                   e4m3* __restrict__ query, float* __restrict__ query_scale, u8* __restrict__ k_codes,
                   ScaleZero* __restrict__ k_params, u8* __restrict__ v_codes, ScaleZero* __restrict__ v_params,
                   int n_heads, int n_kv_heads, int kv_block_size, int hadamard_block, float hadamard_factor) {
    constexpr int HEAD_DIM = Config::HEAD_DIM;
    using Part = HeadPart<HEAD_DIM>;
    constexpr int LANES = Part::LANES;
    constexpr int GROUPS = Config::THREADS / LANES;
    constexpr int ROW_BYTES = HEAD_DIM / 2;

    allow_next_kernel();
    const int token = blockIdx.x;
    const int j = Part::lane();
    const int all_heads = n_heads + 2 * n_kv_heads;
    const i64 angle = i64(positions[token]) * Part::HALF;
    const auto cosines = reinterpret_cast<const Packed<float, 2>*>(cos + angle)[j];
    const auto sines = reinterpret_cast<const Packed<float, 2>*>(sin + angle)[j];
    const KvLayout layout{n_kv_heads, HEAD_DIM, HEAD_DIM, kv_block_size};
    const int kv_block = slots[token] / kv_block_size;
    const int offset = slots[token] % kv_block_size;
    const bf16* heads = qkv + i64(token) * all_heads * HEAD_DIM;
    wait_for_previous_kernel();

    // All lanes of a warp go round together, for the shuffles; those beyond the last head store nothing.
    using Raw = typename Part::template Raw<bf16>;
    const auto load = [&](int h) { return Raw::load(heads + min(h, all_heads - 1) * HEAD_DIM); };
    const int stride = gridDim.y * GROUPS;
    int h = blockIdx.y * GROUPS + threadIdx.x / LANES;
    Raw next = load(h);
    for (int first = blockIdx.y * GROUPS; first < all_heads; first += stride, h += stride) {
        const bool exists = h < all_heads;
        const bool is_query = h < n_heads;
        const bool is_value = h >= n_heads + n_kv_heads;
        Part x = Part::of(next);
        if (first + stride < all_heads) {
            next = load(h + stride);
        }
        if (!is_value) {
            x.rotate(cosines, sines);
            if (k_smooth != nullptr) {
                const int kv_head = is_query ? h / (n_heads / n_kv_heads) : h - n_heads;
                const Part s = Part::of(Part::template Raw<float>::load(k_smooth + kv_head * HEAD_DIM));
#pragma unroll
                for (int i = 0; i < 4; i++) {
                    x.at[i] = is_query ? x.at[i] / s.at[i] : x.at[i] * s.at[i];
                }
            }
        }
        if (hadamard_block > 0) {
            Part turned = x;
            turned.hadamard(hadamard_block, hadamard_factor);
            x = is_value ? x : turned;
        }
        const float low = fminf(fminf(x.at[0], x.at[1]), fminf(x.at[2], x.at[3]));
        const float high = fmaxf(fmaxf(x.at[0], x.at[1]), fmaxf(x.at[2], x.at[3]));
        const float min = x.reduce(low, Min());
        const float max = x.reduce(high, Max());
        if (!exists) {
            continue;
        }
        if (is_query) {
            const RowScale scale = RowScale::of(fmaxf(fabsf(min), fabsf(max)));
            const i64 row = i64(token) * n_heads + h;
            auto* codes = reinterpret_cast<Packed<e4m3, 2>*>(query + row * HEAD_DIM);
            const float lower[2] = {x.at[0], x.at[1]};
            const float upper[2] = {x.at[2], x.at[3]};
            codes[j] = scale.quantize(lower);
            codes[j + LANES] = scale.quantize(upper);
            if (j == 0) {
                query_scale[row] = scale.scale;
            }
        } else {
            const int kv_head = is_value ? h - n_heads - n_kv_heads : h - n_heads;
            const i64 row = layout.row(kv_block, offset, kv_head);
            const ScaleZero param = kv_scale_zero<Config::SYMMETRIC>(min, max);
            const float scale = to_float(param.scale);
            const float zero = to_float(param.zero);
            int code[4];
#pragma unroll
            for (int i = 0; i < 4; i++) {
                code[i] = kv_encode(x.at[i], scale, zero);
            }
            u8* codes = (is_value ? v_codes : k_codes) + row * ROW_BYTES;
            codes[j] = u8(code[0] | code[1] << 4);
            codes[j + LANES] = u8(code[2] | code[3] << 4);
            if (j == 0) {
                (is_value ? v_params : k_params)[row] = param;
            }
        }
    }
}

}  // namespace fireq
