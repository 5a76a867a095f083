package io.fireq.kernels.elementwise;

import static io.fireq.kernels.cuda.KernelArgs.Type.ADDRESS;
import static io.fireq.kernels.cuda.KernelArgs.Type.INT;

import io.fireq.kernels.catalog.KernelConfig;
import io.fireq.kernels.catalog.KernelSpec;
import io.fireq.kernels.cuda.CudaContext;
import io.fireq.kernels.cuda.CudaStream;
import io.fireq.kernels.cuda.DeviceBuffer;
import io.fireq.kernels.cuda.KernelArgs;
import io.fireq.kernels.cuda.KernelFunction;
import io.fireq.kernels.cuda.LaunchShape;
import java.util.List;

/** {@code out = bf16(silu(gate) · up)} of float32 gate and up side by side. */
public final class SiluMul {
    private static final String NAME = "SiluMul";
    private static final int THREADS = 128;
    private static final int WIDE = 4;
    private static final int NARROW = 1;

    private final KernelFunction wide;
    private final KernelFunction narrow;
    private final KernelArgs args = new KernelArgs(ADDRESS, ADDRESS, INT);

    public SiluMul(CudaContext context) {
        wide = context.kernel(spec(WIDE));
        narrow = context.kernel(spec(NARROW));
    }

    /** The kernels to build. */
    public static List<KernelSpec> specs() {
        return List.of(spec(WIDE), spec(NARROW));
    }

    private static KernelSpec spec(int vector) {
        return new KernelSpec("elementwise/silu_mul.cuh", "silu_mul",
                KernelConfig.empty().with("THREADS", THREADS).with("VECTOR", vector), true);
    }

    /**
     * Queues the product.
     *
     * @param gateUp {@code [nTokens, 2·ffnSize]} f32, gate then up
     * @param out    {@code [nTokens, ffnSize]} bf16
     */
    public void launch(CudaStream stream, DeviceBuffer gateUp, int nTokens, int ffnSize, DeviceBuffer out) {
        args.set(0, gateUp.require(NAME, "gateUp [nTokens, 2·ffnSize]", 2L * nTokens * ffnSize, 4));
        args.set(1, out.require(NAME, "out [nTokens, ffnSize]", (long) nTokens * ffnSize, 2));
        args.set(2, ffnSize);
        boolean isWide = ffnSize % WIDE == 0 && gateUp.isAligned(16) && out.isAligned(8);
        int vectors = isWide ? ffnSize / WIDE : ffnSize;
        LaunchShape shape = LaunchShape.of(nTokens, THREADS).grid(nTokens, (vectors + THREADS - 1) / THREADS, 1);
        (isWide ? wide : narrow).launch(stream, shape, args);
    }
}
