// Small arithmetic and the two reductions. a * b + c is never contracted (--fmad=false): write fmaf where the fused
// form is wanted, so that every rounding is visible in the source.
#pragma once

#include "fireq/common/check.cuh"
#include "fireq/ptx/approx.cuh"

namespace fireq {

template <class T>
__host__ __device__ constexpr T ceil_div(T a, T b) {
    return (a + b - 1) / b;
}

template <class T>
__host__ __device__ constexpr T align_up(T a, T unit) {
    return ceil_div(a, unit) * unit;
}

__device__ __forceinline__ float silu(float g) {
    return g / (1.0f + expf(-g));
}

// a / b, correctly rounded like the division but for results near the smallest normal number; `reciprocal` is 1 / b,
// correctly rounded. For many quotients with one divisor (Markstein 1990).
__device__ __forceinline__ float divide(float a, float b, float reciprocal) {
    const float quotient = a * reciprocal;
    const float remainder = fmaf(-quotient, b, a);
    return fmaf(remainder, reciprocal, quotient);
}

// x[i] /= y[i], bit for bit the division, and cheaper where every value is of ordinary size.
template <int N>
__device__ __forceinline__ void divide_all(float (&x)[N], const float (&y)[N]) {
    constexpr float LARGE = 0x1p30f;
    constexpr float SMALL = 0x1p-60f;
    float reciprocal[N];
    float smallest = LARGE;
    float sum = 0.0f;
#pragma unroll
    for (int i = 0; i < N; i++) {
        // Correctly rounded for normal numbers: the compiler's own sequence, without its test for them.
        const float approximate = reciprocal_approx(y[i]);
        reciprocal[i] = fmaf(approximate, fmaf(-approximate, y[i], 1.0f), approximate);
        smallest = fminf(smallest, fabsf(x[i]));
        sum += fabsf(x[i]) + (fabsf(y[i]) + fabsf(reciprocal[i]));
    }
    // NaN and infinity are in the sum.
    if (smallest >= SMALL && sum <= LARGE) {
#pragma unroll
        for (int i = 0; i < N; i++) {
            x[i] = divide(x[i], y[i], reciprocal[i]);
        }
        return;
    }
#pragma unroll
    for (int i = 0; i < N; i++) {
        x[i] /= y[i];
    }
}

// A positive integer that others are divided by, in eight instructions instead of some forty. Exact for dividends from 0 on and
// quotients below 2^21, for which the rounded product is off by one at most.
class Divisor {
  public:
    __device__ __forceinline__ explicit Divisor(int divisor) : divisor_(divisor), inverse_(1.0f / float(divisor)) {}

    __device__ __forceinline__ int divide(int dividend, int& remainder) const {
        int quotient = int(float(dividend) * inverse_);
        remainder = dividend - quotient * divisor_;
        const int off = (remainder >= divisor_) - (remainder < 0);
        remainder -= off * divisor_;
        return quotient + off;
    }

    __device__ __forceinline__ int divide(int dividend) const {
        int remainder;
        return divide(dividend, remainder);
    }

  private:
    int divisor_;
    float inverse_;
};

struct Sum {
    static __device__ __forceinline__ float identity() { return 0.0f; }
    __device__ __forceinline__ float operator()(float a, float b) const { return a + b; }
};

struct Max {
    static __device__ __forceinline__ float identity() { return -__int_as_float(0x7f800000); }
    __device__ __forceinline__ float operator()(float a, float b) const { return fmaxf(a, b); }
};

struct Min {
    static __device__ __forceinline__ float identity() { return __int_as_float(0x7f800000); }
    __device__ __forceinline__ float operator()(float a, float b) const { return fminf(a, b); }
};

// The result is in every lane, and the same bits in every lane because the exchange is symmetric.
template <class Op>
__device__ __forceinline__ float warp_reduce(float value, Op op) {
#pragma unroll
    for (int distance = WARP_SIZE / 2; distance > 0; distance /= 2) {
        value = op(value, __shfl_xor_sync(0xffffffffu, value, distance));
    }
    return value;
}

// The result is in every thread. `scratch` holds one float per warp and may be used again at once: the CTA is
// synchronised on the way in and on the way out.
template <int THREADS, class Op>
__device__ __forceinline__ float cta_reduce(float value, float* scratch, Op op) {
    constexpr int WARPS = CtaShape<THREADS>::WARPS;
    value = warp_reduce(value, op);
    __syncthreads();
    if (threadIdx.x % WARP_SIZE == 0) {
        scratch[threadIdx.x / WARP_SIZE] = value;
    }
    __syncthreads();
    float total = scratch[0];
#pragma unroll
    for (int warp = 1; warp < WARPS; warp++) {
        total = op(total, scratch[warp]);
    }
    return total;
}

// Two reductions in one.
template <int THREADS, class Op1, class Op2>
__device__ __forceinline__ void cta_reduce_both(float& value1, float& value2, float* scratch, Op1 op1, Op2 op2) {
    constexpr int WARPS = CtaShape<THREADS>::WARPS;
    value1 = warp_reduce(value1, op1);
    value2 = warp_reduce(value2, op2);
    __syncthreads();
    if (threadIdx.x % WARP_SIZE == 0) {
        scratch[threadIdx.x / WARP_SIZE] = value1;
        scratch[WARPS + threadIdx.x / WARP_SIZE] = value2;
    }
    __syncthreads();
    value1 = scratch[0];
    value2 = scratch[WARPS];
#pragma unroll
    for (int warp = 1; warp < WARPS; warp++) {
        value1 = op1(value1, scratch[warp]);
        value2 = op2(value2, scratch[WARPS + warp]);
    }
}

}  // namespace fireq
