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

/** The index of the largest value of each row: greedy sampling, so that only token ids cross to the host. */
public final class ArgmaxRows {
    private static final String NAME = "ArgmaxRows";
    private static final int THREADS = 1024;
    private static final KernelSpec SPEC = new KernelSpec("elementwise/argmax_rows.cuh", "argmax_rows",
            KernelConfig.empty().with("THREADS", THREADS), true);

    private final KernelFunction kernel;
    private final KernelArgs args = new KernelArgs(ADDRESS, ADDRESS, INT);

    public ArgmaxRows(CudaContext context) {
        kernel = context.kernel(SPEC);
    }

    /** The kernels to build. */
    public static List<KernelSpec> specs() {
        return List.of(SPEC);
    }

    /**
     * Queues the search.
     *
     * @param x   {@code [nRows, width]} f32
     * @param out {@code [nRows]} i32: the lowest index of the largest value, -1 where a value is NaN or the largest is
     *            infinite
     */
    public void launch(CudaStream stream, DeviceBuffer x, int nRows, int width, DeviceBuffer out) {
        args.set(0, x.require(NAME, "x [nRows, width]", (long) nRows * width, 4));
        args.set(1, out.require(NAME, "out [nRows]", nRows, 4));
        args.set(2, width);
        kernel.launch(stream, LaunchShape.of(nRows, THREADS), args);
    }
}
