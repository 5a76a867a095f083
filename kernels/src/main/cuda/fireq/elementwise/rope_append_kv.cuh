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
 * Work       grid.x tokens, grid.y CTAs that share the heads of a token. LANES lanes take a head and 8 channels each;
 *            the CTAs' lane groups stride over the heads
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

// Eight channels of a head: 4j .. 4j + 3 and the four that they are rotated with, j being the lane's number in its group.
template <int HEAD_DIM>
struct HeadPart {
    static constexpr int CHANNELS = 8;
    static constexpr int RUN = CHANNELS / 2;
    static constexpr int LANES = HEAD_DIM / CHANNELS;
    static constexpr int HALF = HEAD_DIM / 2;

    float at[CHANNELS];

    static __device__ __forceinline__ int lane() { return threadIdx.x % LANES; }

    // As it lies in memory.
    template <class T>
    struct Raw {
        Packed<T, RUN> low;
        Packed<T, RUN> high;

        static __device__ __forceinline__ Raw load(const T* head) {
            return Raw{reinterpret_cast<const Packed<T, RUN>*>(head)[lane()],
                       reinterpret_cast<const Packed<T, RUN>*>(head + HALF)[lane()]};
        }
    };

    template <class T>
    static __device__ __forceinline__ HeadPart of(const Raw<T>& raw) {
        HeadPart part;
#pragma unroll
        for (int i = 0; i < RUN; i++) {
            part.at[i] = as_float(raw.low.at[i]);
            part.at[RUN + i] = as_float(raw.high.at[i]);
        }
        return part;
    }

    __device__ __forceinline__ void rotate(const Packed<float, RUN>& cos, const Packed<float, RUN>& sin) {
#pragma unroll
        for (int i = 0; i < RUN; i++) {
            const float first = at[i];
            const float second = at[RUN + i];
            at[i] = first * cos.at[i] - second * sin.at[i];
            at[RUN + i] = second * cos.at[i] + first * sin.at[i];
        }
    }

    __device__ __forceinline__ void hadamard(int block, float factor) {
#pragma unroll
        for (int i = 0; i < CHANNELS; i += 2) {
            butterfly(at[i], at[i + 1]);
        }
#pragma unroll
        for (int i = 0; i < CHANNELS; i++) {
            if (i % 4 < 2 && 2 < block) {
                butterfly(at[i], at[i + 2]);
            }
        }
#pragma unroll
        for (int distance = RUN; distance < HALF; distance *= 2) {
            if (distance < block) {
                const bool is_upper = lane() & distance / RUN;
#pragma unroll
                for (int i = 0; i < CHANNELS; i++) {
                    const float other = __shfl_xor_sync(0xffffffffu, at[i], distance / RUN);
                    at[i] = is_upper ? other - at[i] : at[i] + other;
                }
            }
        }
        if (HALF < block) {
#pragma unroll
            for (int i = 0; i < RUN; i++) {
                butterfly(at[i], at[RUN + i]);
            }
        }
#pragma unroll
        for (int i = 0; i < CHANNELS; i++) {
            at[i] *= factor;
        }
    }

    // Over all channels of the head.
    template <class Op>
    __device__ __forceinline__ float reduce(Op op) const {
        float value = at[0];
#pragma unroll
        for (int i = 1; i < CHANNELS; i++) {
            value = op(value, at[i]);
        }
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
    const auto cosines = reinterpret_cast<const Packed<float, Part::RUN>*>(cos + angle)[j];
    const auto sines = reinterpret_cast<const Packed<float, Part::RUN>*>(sin + angle)[j];
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
                for (int i = 0; i < Part::CHANNELS; i++) {
                    x.at[i] = is_query ? x.at[i] / s.at[i] : x.at[i] * s.at[i];
                }
            }
        }
        if (hadamard_block > 0) {
            Part turned = x;
            turned.hadamard(hadamard_block, hadamard_factor);
            x = is_value ? x : turned;
        }
        const float min = x.reduce(Min());
        const float max = x.reduce(Max());
        if (!exists) {
            continue;
        }
        if (is_query) {
            const RowScale scale = RowScale::of(fmaxf(fabsf(min), fabsf(max)));
            const i64 row = i64(token) * n_heads + h;
            auto* codes = reinterpret_cast<Packed<e4m3, Part::RUN>*>(query + row * HEAD_DIM);
            float run[2][Part::RUN];
#pragma unroll
            for (int i = 0; i < Part::CHANNELS; i++) {
                run[i / Part::RUN][i % Part::RUN] = x.at[i];
            }
            codes[j] = scale.quantize(run[0]);
            codes[j + LANES] = scale.quantize(run[1]);
            if (j == 0) {
                query_scale[row] = scale.scale;
            }
        } else {
            const int kv_head = is_value ? h - n_heads - n_kv_heads : h - n_heads;
            const i64 row = layout.row(kv_block, offset, kv_head);
            const ScaleZero param = kv_scale_zero<Config::SYMMETRIC>(min, max);
            const float scale = to_float(param.scale);
            const float zero = to_float(param.zero);
            const float reciprocal = 1.0f / scale;
            u32 code[2] = {0, 0};
#pragma unroll
            for (int i = 0; i < Part::CHANNELS; i++) {
                const float quotient = divide(x.at[i], scale, reciprocal);
                code[i / Part::RUN] |= u32(kv_encode(quotient, zero)) << i % Part::RUN * 4;
            }
            u16* codes = reinterpret_cast<u16*>((is_value ? v_codes : k_codes) + row * ROW_BYTES);
            codes[j] = u16(code[0]);
            codes[j + LANES] = u16(code[1]);
            if (j == 0) {
                (is_value ? v_params : k_params)[row] = param;
            }
        }
    }
}

}  // namespace fireq
