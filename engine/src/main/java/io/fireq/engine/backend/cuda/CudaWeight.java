package io.fireq.engine.backend.cuda;

import io.fireq.engine.backend.Backend;
import io.fireq.engine.backend.BackendChecks;
import io.fireq.kernels.cuda.DeviceBuffer;
import io.fireq.kernels.gemm.GemmWeight;
import io.fireq.kernels.gemm.LinearWeight;

/**
 * A weight {@code [n, k]} on the device: quantized, for linear layers and embeddings, or a bf16 table for embeddings.
 *
 * @param name   for messages
 * @param n      rows
 * @param k      columns
 * @param linear the quantized form in checkpoint order; null for a table, and where {@code gemm} has replaced it
 * @param gemm   the form that the fast product reads; null where there is none
 * @param table  {@code [n, k]} bf16; null for a quantized weight
 */
record CudaWeight(String name, int n, int k, LinearWeight linear, GemmWeight gemm, DeviceBuffer table)
        implements Backend.Weight {

    static CudaWeight table(String name, int n, int k, DeviceBuffer table) {
        return new CudaWeight(name, n, k, null, null, table);
    }

    static CudaWeight quantized(LinearWeight linear) {
        return new CudaWeight(linear.name(), linear.n(), linear.k(), linear, null, null);
    }

    /** The same weight in the order of the fast product, with or without its checkpoint order. */
    CudaWeight with(GemmWeight newGemm, boolean keepLinear) {
        return new CudaWeight(name, n, k, keepLinear ? linear : null, newGemm, table);
    }

    /** Whether the fast product serves this weight with or without gates. */
    boolean hasGemm(boolean gated) {
        return gemm != null && gemm.isGated() == gated;
    }

    /** Refuses a table, which only an embedding can be. */
    void requireQuantized() {
        if (table != null) {
            throw BackendChecks.unquantized(name);
        }
    }

    /** The form in checkpoint order, which the plain product and embeddings read. */
    LinearWeight requireLinear() {
        requireQuantized();
        if (linear == null) {
            throw new IllegalArgumentException(
                    "Weight '%s' was loaded for another epilogue; load it for the one it is used with".formatted(name));
        }
        return linear;
    }
}
