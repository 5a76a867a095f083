// A row that a CTA goes over more than once: each thread keeps its first VECTORS vectors of it in registers and reads what
// lies behind them again.
#pragma once

#include "fireq/common/check.cuh"
#include "fireq/elementwise/neighbours.cuh"

namespace fireq {

template <class T, int THREADS, int VECTOR, int VECTORS_>
class RowCache {
  public:
    static constexpr int VECTORS = VECTORS_;
    using Vector = Neighbours<T, VECTOR>;

    __device__ __forceinline__ RowCache(const T* row, int width)
        : row_(reinterpret_cast<const Vector*>(row)), n_vectors_(width / VECTOR) {
#pragma unroll
        for (int v = 0; v < VECTORS; v++) {
            const int index = threadIdx.x + v * THREADS;
            if (index < n_vectors_) {
                kept_[v] = row_[index];
            }
        }
    }

    // Calls visit(index of the vector in the row, vector) for each vector of this thread.
    template <class Visit>
    __device__ __forceinline__ void each(Visit visit) const {
#pragma unroll
        for (int v = 0; v < VECTORS; v++) {
            const int index = threadIdx.x + v * THREADS;
            if (index < n_vectors_) {
                visit(index, kept_[v]);
            }
        }
        for (int index = threadIdx.x + VECTORS * THREADS; index < n_vectors_; index += THREADS) {
            visit(index, row_[index]);
        }
    }

    // Calls visit(index, vector, the vector of `other` at the same index); `other` keeps as many vectors or none.
    template <class Other, class Visit>
    __device__ __forceinline__ void each_with(const Other& other, Visit visit) const {
        static_assert(Other::VECTORS == VECTORS || Other::VECTORS == 0, "rows are kept side by side");
#pragma unroll
        for (int v = 0; v < VECTORS; v++) {
            const int index = threadIdx.x + v * THREADS;
            if (index < n_vectors_) {
                if constexpr (Other::VECTORS == 0) {
                    visit(index, kept_[v], other.read(index));
                } else {
                    visit(index, kept_[v], other.kept(v));
                }
            }
        }
        for (int index = threadIdx.x + VECTORS * THREADS; index < n_vectors_; index += THREADS) {
            visit(index, row_[index], other.read(index));
        }
    }

    // A word that is known once all that is kept has been loaded.
    __device__ __forceinline__ u32 some_bits() const {
        u32 bits = 0;
#pragma unroll
        for (int v = 0; v < VECTORS; v++) {
            bits ^= kept_[v].some_bits();
        }
        return bits;
    }

    __device__ __forceinline__ const Vector& kept(int v) const { return kept_[v]; }
    __device__ __forceinline__ Vector read(int index) const { return row_[index]; }

  private:
    const Vector* row_;
    int n_vectors_;
    Vector kept_[VECTORS == 0 ? 1 : VECTORS];
};

}  // namespace fireq
