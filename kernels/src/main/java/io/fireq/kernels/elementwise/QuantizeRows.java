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

/** Row quantization of bf16 activations: e4m3 codes and one scale per row. */
public final class QuantizeRows {
    private static final String NAME = "QuantizeRows";
    private static final int THREADS = 256;

    private final KernelFunction wide;
    private final KernelFunction wider;
    private final KernelFunction narrow;
    private final KernelArgs args = new KernelArgs(ADDRESS, ADDRESS, ADDRESS, INT);

    public QuantizeRows(CudaContext context) {
        wide = context.kernel(spec(RowVector.WIDE, RowVector.FEW));
        wider = context.kernel(spec(RowVector.WIDE, RowVector.MANY));
        narrow = context.kernel(spec(RowVector.NARROW, RowVector.FEW));
    }

    /** The kernels to build. */
    public static List<KernelSpec> specs() {
        return List.of(spec(RowVector.WIDE, RowVector.FEW), spec(RowVector.WIDE, RowVector.MANY),
                spec(RowVector.NARROW, RowVector.FEW));
    }

    private static KernelSpec spec(int vector, int vectors) {
        return new KernelSpec("elementwise/quantize_rows.cuh", "quantize_rows",
                KernelConfig.empty().with("THREADS", THREADS).with("VECTOR", vector).with("VECTORS", vectors), true);
    }

    /**
     * Queues the quantization.
     *
     * @param x        {@code [nRows, width]} bf16
     * @param out      {@code [nRows, width]} e4m3
     * @param outScale {@code [nRows]} f32
     */
    public void launch(CudaStream stream, DeviceBuffer x, int nRows, int width, DeviceBuffer out,
            DeviceBuffer outScale) {
        args.set(0, x.require(NAME, "x [nRows, width]", (long) nRows * width, 2));
        args.set(1, out.require(NAME, "out [nRows, width]", (long) nRows * width, 1));
        args.set(2, outScale.require(NAME, "outScale [nRows]", nRows, 4));
        args.set(3, width);
        boolean isWide = RowVector.isWide(width) && x.isAligned(16) && out.isAligned(8);
        KernelFunction kernel = !isWide ? narrow : width <= THREADS * RowVector.WIDE * RowVector.FEW ? wide : wider;
        kernel.launch(stream, LaunchShape.of(nRows, THREADS).overlapping(), args);
    }
}
