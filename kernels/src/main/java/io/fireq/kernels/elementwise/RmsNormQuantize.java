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
import java.util.Arrays;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;

/** RMSNorm in float32, straight into row quantization: e4m3 codes and one scale per row. */
public final class RmsNormQuantize {
    private static final String NAME = "RmsNormQuantize";

    private final Map<Shape, KernelFunction> kernels = new EnumMap<>(Shape.class);
    private final int nSms;
    private final KernelArgs args = new KernelArgs(ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, INT, INT, FLOAT);

    public RmsNormQuantize(CudaContext context) {
        for (Shape shape : Shape.values()) {
            kernels.put(shape, context.kernel(shape.spec()));
        }
        nSms = context.device().nSms();
    }

    /** How a row is shared among threads. */
    private enum Shape {
        /** Soon done: for few rows. */
        MANY_THREADS(256, RowVector.WIDE, 2, 4),
        /** Little that every thread does again: for many rows. */
        FEW_THREADS(128, RowVector.WIDE, 4, 5),
        LONG_ROW(256, RowVector.WIDE, 8, 2),
        UNALIGNED(256, RowVector.NARROW, 2, 4);

        private final int threads;
        private final int vector;
        private final int vectors;
        /** That registers let run at a time. */
        private final int ctasPerSm;

        Shape(int threads, int vector, int vectors, int ctasPerSm) {
            this.threads = threads;
            this.vector = vector;
            this.vectors = vectors;
            this.ctasPerSm = ctasPerSm;
        }

        /** Values that registers hold. */
        int width() {
            return threads * vector * vectors;
        }

        KernelSpec spec() {
            return new KernelSpec("elementwise/rmsnorm_quantize.cuh", "rmsnorm_quantize",
                    KernelConfig.empty().with("THREADS", threads).with("VECTOR", vector).with("VECTORS", vectors), true);
        }
    }

    /** The kernels to build. */
    public static List<KernelSpec> specs() {
        return Arrays.stream(Shape.values()).map(Shape::spec).toList();
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
        args.set(5, nRows).set(6, width).set(7, epsilon);
        boolean isAligned = RowVector.isWide(width) && x.isAligned(16) && weight.isAligned(32) && out.isAligned(8);
        Shape shape = shape(isAligned, nRows, width);
        int ctas = Math.min(nRows, nSms * shape.ctasPerSm);
        kernels.get(shape).launch(stream, LaunchShape.of(ctas, shape.threads).overlapping(), args);
    }

    private Shape shape(boolean isAligned, int nRows, int width) {
        if (!isAligned) {
            return Shape.UNALIGNED;
        }
        if (width > Shape.MANY_THREADS.width()) {
            return Shape.LONG_ROW;
        }
        return nRows <= 2 * nSms ? Shape.MANY_THREADS : Shape.FEW_THREADS;
    }
}
