package io.fireq.engine.backend.cpu;

import io.fireq.engine.api.Numerics;
import io.fireq.engine.tensor.Bf16;

/** The roundings of activations in {@code docs/numerics.md}, or their absence in float32 mode. */
final class Rounding {
    private final boolean quantized;
    private final CpuKernels kernels;

    Rounding(Numerics numerics, CpuKernels kernels) {
        quantized = numerics == Numerics.QUANTIZED;
        this.kernels = kernels;
    }

    boolean isQuantized() {
        return quantized;
    }

    /** What an activation becomes when it is stored: the nearest bfloat16. */
    float store(float x) {
        return quantized ? Bf16.round(x) : x;
    }

    /** {@link CpuKernels#quantizeRow}; in float32 mode a copy, with scale 1. */
    float quantizeRow(float[] x, int xOffset, int count, float[] out, int outOffset) {
        if (quantized) {
            return kernels.quantizeRow(x, xOffset, count, out, outOffset);
        }
        System.arraycopy(x, xOffset, out, outOffset, count);
        return 1;
    }
}
