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
 *            Quotients are the division's bits: common/math.cuh
 * Work       CTAs take tokens grid.x apart; grid.y CTAs share the heads of a token. LANES lanes take a head and CHANNELS
 *            channels each; the CTAs' lane groups stride over the heads. Sixteen channels save what lanes do for a head;
 *            with eight a single token is sooner done
 * Pipeline   the next head is loaded while one is worked on; the next token's cosines and sines, once the last head that
 *            needs those of this one is rotated
 * Smem map   none
 * Barriers   none
 * Requires   HEAD_DIM 64 or 128, one group per head, hadamard_block 0 or a power of two up to HEAD_DIM, qkv aligned to 16
 *            bytes and query to 8 (launcher); slots within the cache and pairwise different, positions within the table (engine checks)
 * Not for    other head sizes, several groups per head: plain_rope_append_kv
 * Launcher   io.fireq.kernels.elementwise.RopeAppendKv      Oracle  io.fireq.kernels.elementwise.RopeAppendKvOracle
 * Notes      none
 */
#pragma once

#include "fireq/attention/kv_encode.cuh"
#include "fireq/attention/paged_kv.cuh"
#include "fireq/elementwise/neighbours.cuh"
#include "fireq/ptx/griddep.cuh"

namespace fireq {

// A lane's channels of a head: a run of neighbours, the j-th, and the run that they are rotated with, j being the lane's number
// in its group.
template <int HEAD_DIM, int CHANNELS>
struct HeadPart {
    static constexpr int RUN = CHANNELS / 2;
    static constexpr int LANES = HEAD_DIM / CHANNELS;
    static constexpr int HALF = HEAD_DIM / 2;

    float at[CHANNELS];

    static __device__ __forceinline__ int lane() { return threadIdx.x % LANES; }

    // The lane's run of half a head.
    template <class T>
    static __device__ __forceinline__ Neighbours<T, RUN> load_run(const T* half) {
        return reinterpret_cast<const Neighbours<T, RUN>*>(half)[lane()];
    }

    // As it lies in memory.
    template <class T>
    struct Raw {
        Neighbours<T, RUN> low;
        Neighbours<T, RUN> high;

        static __device__ __forceinline__ Raw load(const T* head) { return Raw{load_run(head), load_run(head + HALF)}; }
    };

    template <class T>
    static __device__ __forceinline__ HeadPart of(const Raw<T>& raw) {
        HeadPart part;
#pragma unroll
        for (int i = 0; i < RUN; i++) {
            part.at[i] = raw.low[i];
            part.at[RUN + i] = raw.high[i];
        }
        return part;
    }

    __device__ __forceinline__ void rotate(const Neighbours<float, RUN>& cos, const Neighbours<float, RUN>& sin) {
#pragma unroll
        for (int i = 0; i < RUN; i++) {
            const float first = at[i];
            const float second = at[RUN + i];
            at[i] = first * cos[i] - second * sin[i];
            at[RUN + i] = second * cos[i] + first * sin[i];
        }
    }

    // By the factors or divisors of a head.
    __device__ __forceinline__ void multiply_by(const float* s) {
        const HeadPart factors = of(Raw<float>::load(s));
#pragma unroll
        for (int i = 0; i < CHANNELS; i++) {
            at[i] *= factors.at[i];
        }
    }

    // Four at a time, for the registers.
    __device__ __forceinline__ void divide_by(const float* s) {
#pragma unroll
        for (int first = 0; first < CHANNELS; first += 4) {
            const float* mine = s + first / RUN * HALF + lane() * RUN + first % RUN;
            const auto divisors = *reinterpret_cast<const Neighbours<float, 4>*>(mine);
            float x[4];
#pragma unroll
            for (int i = 0; i < 4; i++) {
                x[i] = at[first + i];
            }
            divide_all(x, divisors.values);
#pragma unroll
            for (int i = 0; i < 4; i++) {
                at[first + i] = x[i];
            }
        }
    }

    // All lanes of the warp.
    __device__ __forceinline__ void hadamard(int block, float factor) {
#pragma unroll
        for (int distance = 1; distance < RUN; distance *= 2) {
            if (distance < block) {
#pragma unroll
                for (int i = 0; i < CHANNELS; i++) {
                    if (i % (2 * distance) < distance) {
                        butterfly(at[i], at[i + distance]);
                    }
                }
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

    // Over the lane's channels, as a tree: a chain would be waited for.
    template <class Op>
    __device__ __forceinline__ float reduce(Op op) const {
        float value[CHANNELS];
#pragma unroll
        for (int i = 0; i < CHANNELS; i++) {
            value[i] = at[i];
        }
#pragma unroll
        for (int distance = 1; distance < CHANNELS; distance *= 2) {
#pragma unroll
            for (int i = 0; i < CHANNELS; i += 2 * distance) {
                value[i] = op(value[i], value[i + distance]);
            }
        }
        return value[0];
    }

    // Over the lanes that share a head; all lanes of the warp.
    template <class Op>
    static __device__ __forceinline__ float reduce_lanes(float value, Op op) {
#pragma unroll
        for (int distance = LANES / 2; distance > 0; distance /= 2) {
            value = op(value, __shfl_xor_sync(0xffffffffu, value, distance));
        }
        return value;
    }

    // As e4m3, into the head's row.
    __device__ __forceinline__ void store_codes(const RowScale& scale, e4m3* row) const {
        float run[2][RUN];
#pragma unroll
        for (int i = 0; i < CHANNELS; i++) {
            run[i / RUN][i % RUN] = at[i];
        }
        scale.store(run[0], row + lane() * RUN);
        scale.store(run[1], row + HALF + lane() * RUN);
    }

    // As INT4, into the head's row.
    __device__ __forceinline__ void store_codes(const ScaleZero& param, u8* row) const {
        const float scale = to_float(param.scale);
        const float reciprocal = 1.0f / scale;
        const KvEncoder encoder = KvEncoder::of(to_float(param.zero));
        u32 codes[2] = {0, 0};
#pragma unroll
        for (int i = CHANNELS - 1; i >= 0; i--) {
            codes[i / RUN] = push_code(codes[i / RUN], encoder.encode(divide(at[i], scale, reciprocal)));
        }
        store_run(codes[0], row);
        store_run(codes[1], row + HALF / 2);
    }

  private:
    static_assert(RUN == 4 || RUN == 8, "the codes of a run are half a word or one");

    static __device__ __forceinline__ void store_run(u32 codes, u8* half) {
        if constexpr (RUN == 8) {
            reinterpret_cast<u32*>(half)[lane()] = codes;
        } else {
            reinterpret_cast<u16*>(half)[lane()] = u16(codes);
        }
    }

    static __device__ __forceinline__ void butterfly(float& lower, float& upper) {
        const float difference = lower - upper;
        lower = lower + upper;
        upper = difference;
    }
};

struct AbsMax {
    __device__ __forceinline__ float operator()(float a, float b) const { return fmaxf(fabsf(a), fabsf(b)); }
};

template <class Config>
__global__ void __launch_bounds__(Config::THREADS, Config::THREADS_PER_SM / Config::THREADS)
    rope_append_kv(const bf16* __restrict__ qkv, const i32* __restrict__ positions, const i32* __restrict__ slots,
                   const float* __restrict__ cos, const float* __restrict__ sin, const float* __restrict__ k_smooth,
                   e4m3* __restrict__ query, float* __restrict__ query_scale, u8* __restrict__ k_codes,
                   ScaleZero* __restrict__ k_params, u8* __restrict__ v_codes, ScaleZero* __restrict__ v_params,
                   int n_tokens, int n_heads, int n_kv_heads, int kv_block_size, int hadamard_block,
                   float hadamard_factor) {
    constexpr int HEAD_DIM = Config::HEAD_DIM;
    using Part = HeadPart<HEAD_DIM, Config::CHANNELS>;
    using Raw = typename Part::template Raw<bf16>;
    constexpr int LANES = Part::LANES;
    constexpr int GROUPS = Config::THREADS / LANES;
    constexpr int ROW_BYTES = HEAD_DIM / 2;

    allow_next_kernel();
    // All lanes of a warp go round together, for the shuffles; those beyond the last head store nothing.
    const int group = blockIdx.y * GROUPS + threadIdx.x / LANES;
    const int stride = gridDim.y * GROUPS;
    const int first_key = n_heads;
    const int first_value = n_heads + n_kv_heads;
    const int all_heads = first_value + n_kv_heads;
    const Divisor group_size(n_heads / n_kv_heads);
    const Divisor block_size(kv_block_size);
    const KvLayout layout{n_kv_heads, HEAD_DIM, HEAD_DIM, kv_block_size};
    const auto load = [&](int token, int h) {
        return Raw::load(qkv + (i64(token) * all_heads + min(h, all_heads - 1)) * HEAD_DIM);
    };
    const auto load_angles = [&](const float* table, int position) {
        return Part::load_run(table + i64(position) * Part::HALF);
    };

    // The positions of the CTA's next AHEAD tokens, one in each lane of half a warp, and their slots in the other half. A
    // load of one that all lanes share would be waited for at once.
    constexpr int AHEAD = WARP_SIZE / 2;
    const auto look_ahead = [&](int first_token) {
        const int lane = threadIdx.x % WARP_SIZE;
        const int token = min(first_token + lane % AHEAD * int(gridDim.x), n_tokens - 1);
        return lane < AHEAD ? positions[token] : slots[token];
    };
    int places = look_ahead(blockIdx.x);
    const auto position_of = [&](int turn) { return __shfl_sync(0xffffffffu, places, turn % AHEAD); };
    const auto slot_of = [&](int turn) { return __shfl_sync(0xffffffffu, places, AHEAD + turn % AHEAD); };

    const int position = position_of(0);
    auto cosines = load_angles(cos, position);
    auto sines = load_angles(sin, position);
    wait_for_previous_kernel_behind(cosines.some_bits() ^ sines.some_bits());
    Raw next = load(blockIdx.x, group);
    int turn = 0;
    for (int token = blockIdx.x; token < n_tokens; token += gridDim.x, turn++) {
        const int next_token = token + gridDim.x;
        const bool is_last_token = next_token >= n_tokens;
        const int slot = slot_of(turn);
        int h = group;
        for (int first = blockIdx.y * GROUPS; first < all_heads; first += stride, h += stride) {
            const bool is_query = h < first_key;
            const bool is_value = h >= first_value;
            const bool is_last = first + stride >= all_heads;
            Part x = Part::of(next);
            if (!is_last) {
                next = load(token, h + stride);
            } else if (!is_last_token) {
                next = load(next_token, group);
            }
            if (!is_value) {
                x.rotate(cosines, sines);
            }
            if (is_last && !is_last_token) {
                if ((turn + 1) % AHEAD == 0) {
                    places = look_ahead(next_token);
                }
                const int next_position = position_of(turn + 1);
                cosines = load_angles(cos, next_position);
                sines = load_angles(sin, next_position);
            }
            if (k_smooth != nullptr && !is_value) {
                if (is_query) {
                    x.divide_by(k_smooth + group_size.divide(h) * HEAD_DIM);
                } else {
                    x.multiply_by(k_smooth + (h - first_key) * HEAD_DIM);
                }
            }
            if (hadamard_block > 0 && first < first_value) {
                x.hadamard(hadamard_block, hadamard_factor);
                if (is_value) {
                    x = Part::of(load(token, h));
                }
            }
            const float max = Part::reduce_lanes(is_query ? x.reduce(AbsMax()) : x.reduce(Max()), Max());
            float min = 0.0f;
            if (first + GROUPS > first_key) {
                min = Part::reduce_lanes(x.reduce(Min()), Min());
            }
            if (h >= all_heads) {
                continue;
            }
            if (is_query) {
                const RowScale scale = RowScale::of(max);
                const i64 row = i64(token) * n_heads + h;
                x.store_codes(scale, query + row * HEAD_DIM);
                if (Part::lane() == 0) {
                    query_scale[row] = scale.scale;
                }
            } else {
                const int kv_head = h - (is_value ? first_value : first_key);
                int offset;
                const int kv_block = block_size.divide(slot, offset);
                const i64 row = layout.row(kv_block, offset, kv_head);
                const ScaleZero param = kv_scale_zero<Config::SYMMETRIC>(min, max);
                x.store_codes(param, (is_value ? v_codes : k_codes) + row * ROW_BYTES);
                if (Part::lane() == 0) {
                    (is_value ? v_params : k_params)[row] = param;
                }
            }
        }
    }
}

}  // namespace fireq
