package io.fireq.kernels.gemm;

import io.fireq.kernels.cuda.CudaContext;
import io.fireq.kernels.cuda.CudaStream;
import io.fireq.kernels.cuda.DeviceBuffer;

/**
 * Memory for tiles whose reduction is cut: partial sums, and counters that are zero between launches. Its size is fixed
 * for the tiles there are, so that recorded graphs stay valid.
 */
final class SplitKWorkspace implements AutoCloseable {
    private static final int MAX_WARPGROUPS = 4;

    private final DeviceBuffer partials;
    private final DeviceBuffer counters;

    SplitKWorkspace(CudaContext context) {
        long floats = GemmHeuristics.TILES.stream().mapToLong(tile -> tile.config().partialFloatsPerCta()).max().orElseThrow()
                * context.device().nSms();
        partials = context.allocate("split-k partial sums", floats * Float.BYTES);
        counters = context.allocate("split-k counters", (long) MAX_WARPGROUPS * context.device().nSms() * Integer.BYTES);
        try (CudaStream stream = context.newStream()) {
            counters.fillAsync(stream, (byte) 0);
            stream.synchronize();
        }
    }

    /** Checks that a launch fits. */
    void require(GemmPlan plan) {
        partials.require("Int4Fp8Gemm", "split-k partial sums", plan.ctas() * plan.config().partialFloatsPerCta(),
                Float.BYTES);
        counters.require("Int4Fp8Gemm", "split-k counters", (long) plan.ctas() * plan.config().warpgroups(),
                Integer.BYTES);
    }

    DeviceBuffer partials() {
        return partials;
    }

    DeviceBuffer counters() {
        return counters;
    }

    @Override
    public void close() {
        partials.close();
        counters.close();
    }
}
