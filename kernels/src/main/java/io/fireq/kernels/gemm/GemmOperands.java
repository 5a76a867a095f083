package io.fireq.kernels.gemm;

import io.fireq.kernels.cuda.DeviceBuffer;
import io.fireq.kernels.cuda.KernelArgs;

/** What the launchers of fast products have in common. */
final class GemmOperands {
    /** Bytes that TMA wants activations and outputs aligned to. */
    static final int ALIGNMENT = 16;

    private static final int MAGNITUDES = 8;

    private GemmOperands() {}

    /**
     * Fails where a product cannot be launched.
     *
     * @param kernel     for messages
     * @param x          {@code [m, k]} e4m3
     * @param xScale     {@code [m]} f32
     * @param out        {@code [m, n]} bf16, or f32
     * @param mostTokens that the kernel takes
     */
    static void require(String kernel, DeviceBuffer x, DeviceBuffer xScale, DeviceBuffer out, int m, int mostTokens, int k,
            int n, boolean outF32) {
        x.require(kernel, "x [m, k]", (long) m * k, 1);
        xScale.require(kernel, "xScale [m]", m, 4);
        out.require(kernel, "out [m, n]", (long) m * n, outF32 ? 4 : 2);
        if (m < 1 || m > mostTokens || !x.isAligned(ALIGNMENT)) {
            throw new IllegalArgumentException("%s: m=%d, x %s aligned to %d bytes; required m of 1 %s and alignment".formatted(
                    kernel, m, x.isAligned(ALIGNMENT) ? "is" : "is not", ALIGNMENT,
                    mostTokens == Integer.MAX_VALUE ? "or more" : "to " + mostTokens));
        }
    }

    /** The values behind the codes of an int4 weight, as arguments from {@code first} on. */
    static void setMagnitudes(KernelArgs args, int first, GemmWeight weight) {
        float[] magnitudes = weight.levels().magnitudes();
        for (int i = 0; i < MAGNITUDES; i++) {
            args.set(first + i, magnitudes[i]);
        }
    }
}
