package io.fireq.kernels.elementwise;

import static io.fireq.kernels.cuda.KernelArgs.Type.ADDRESS;
import static io.fireq.kernels.cuda.KernelArgs.Type.FLOAT;
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

/** RMSNorm in float32, straight into row quantization: e4m3 codes and one scale per row. */
public final class RmsNormQuantize {
    private static final String NAME = "RmsNormQuantize";
    private static final int THREADS = 256;

    private final KernelFunction wide;
    private final KernelFunction wider;
    private final KernelFunction narrow;
    private final KernelArgs args = new KernelArgs(ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, INT, FLOAT);

    public RmsNormQuantize(CudaContext context) {
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
        return new KernelSpec("elementwise/rmsnorm_quantize.cuh", "rmsnorm_quantize",
                KernelConfig.empty().with("THREADS", THREADS).with("VECTOR", vector).with("VECTORS", vectors), true);
    }

    /**
     * Queues the norm of rows 0..nRows-1.
     *
     * @param x        {@code [nRows, width]} bf16
     * @param weight   {@code [width]} f32
     * @param out      {@code [nRows, width]} e4m3
     * @param outScale {@code [nRows]} f32
     */
    public void launch(CudaStream stream, DeviceBuffer x, DeviceBuffer weight, float epsilon, int nRows, int width,
            DeviceBuffer out, DeviceBuffer outScale) {
        args.setNull(2);
        launchChecked(stream, x.require(NAME, "x [nRows, width]", (long) nRows * width, 2), weight, epsilon, nRows, width,
                out, outScale);
    }

    /**
     * Queues the norm of the rows {@code rows[i]} of x into row i of out.
     *
     * @param x    {@code [any, width]} bf16, with every row named by {@code rows}
     * @param rows {@code [nRows]} i32
     */
    public void launchRows(CudaStream stream, DeviceBuffer x, DeviceBuffer rows, DeviceBuffer weight, float epsilon,
            int nRows, int width, DeviceBuffer out, DeviceBuffer outScale) {
        args.set(2, rows.require(NAME, "rows [nRows]", nRows, 4));
        launchChecked(stream, x, weight, epsilon, nRows, width, out, outScale);
    }

    private void launchChecked(CudaStream stream, DeviceBuffer x, DeviceBuffer weight, float epsilon, int nRows,
            int width, DeviceBuffer out, DeviceBuffer outScale) {
        args.set(0, x);
        args.set(1, weight.require(NAME, "weight [width]", width, 4));
        args.set(3, out.require(NAME, "out [nRows, width]", (long) nRows * width, 1));
        args.set(4, outScale.require(NAME, "outScale [nRows]", nRows, 4));
        args.set(5, width).set(6, epsilon);
        boolean isWide = RowVector.isWide(width) && x.isAligned(16) && weight.isAligned(32) && out.isAligned(8);
        KernelFunction kernel = !isWide ? narrow : width <= THREADS * RowVector.WIDE * RowVector.FEW ? wide : wider;
        kernel.launch(stream, LaunchShape.of(nRows, THREADS).overlapping(), args);
    }
}
