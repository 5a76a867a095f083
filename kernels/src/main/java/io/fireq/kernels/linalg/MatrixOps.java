package io.fireq.kernels.linalg;

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

/** What happens to float32 matrices besides products: copies, scalings, sums. */
public final class MatrixOps {
    private static final String NAME = "MatrixOps";
    private static final int THREADS = 256;
    private static final int TILE = 32;
    private static final int LINES = 8;
    private static final int MAX_GRID_Y = 65_535;

    private final KernelFunction mirror;
    private final KernelFunction gather;
    private final KernelFunction add;
    private final KernelFunction dots;
    private final KernelFunction absmax;
    private final KernelArgs mirrorArgs = new KernelArgs(ADDRESS, INT);
    private final KernelArgs gatherArgs =
            new KernelArgs(ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, ADDRESS, INT, INT, INT, INT, INT);
    private final KernelArgs addArgs = new KernelArgs(ADDRESS, ADDRESS, INT, INT);
    private final KernelArgs dotsArgs = new KernelArgs(ADDRESS, ADDRESS, ADDRESS, ADDRESS, INT, FLOAT);
    private final KernelArgs absmaxArgs = new KernelArgs(ADDRESS, ADDRESS, INT);

    public MatrixOps(CudaContext context) {
        mirror = context.kernel(mirrorSpec());
        gather = context.kernel(spec("scaled_gather"));
        add = context.kernel(spec("add_matrix"));
        dots = context.kernel(spec("row_dots"));
        absmax = context.kernel(spec("row_absmax"));
    }

    /** The kernels to build. */
    public static List<KernelSpec> specs() {
        return List.of(mirrorSpec(), spec("scaled_gather"), spec("add_matrix"), spec("row_dots"), spec("row_absmax"));
    }

    private static KernelSpec mirrorSpec() {
        return new KernelSpec("linalg/mirror.cuh", "mirror",
                KernelConfig.empty().with("TILE", TILE).with("LINES", LINES), true);
    }

    private static KernelSpec spec(String kernel) {
        return new KernelSpec("linalg/" + kernel + ".cuh", kernel, KernelConfig.empty().with("THREADS", THREADS), true);
    }

    /** Queues the copy of what lies above the diagonal of a square, contiguous matrix below it. */
    public void mirror(CudaStream stream, DeviceMatrix a) {
        requireContiguous(a);
        require(a.rows() == a.columns(), "mirror: [%d, %d] is not square", a.rows(), a.columns());
        mirrorArgs.set(0, a.values()).set(1, a.rows());
        int tiles = (a.rows() + TILE - 1) / TILE;
        mirror.launch(stream, LaunchShape.of(1, TILE * LINES).grid(tiles, tiles, 1), mirrorArgs);
    }

    /**
     * What a copy takes, and what it is multiplied by; each may be null for all, in order and unscaled.
     *
     * @param rowOf        {@code [rows]} i32, the row that each row of the result is from
     * @param columnOf     {@code [columns]} i32, likewise
     * @param rowFactor    {@code [rows]} f64
     * @param columnFactor {@code [columns]} f64
     */
    public record Selection(DeviceBuffer rowOf, DeviceBuffer columnOf, DeviceBuffer rowFactor,
            DeviceBuffer columnFactor) {
        /** Everything as it is. */
        public static final Selection ALL = new Selection(null, null, null, null);
    }

    /**
     * Queues a copy of rows 0, {@code rowStep}, 2 {@code rowStep}, …, or of the selection's rows.
     *
     * @param out its shape is how many rows and columns are copied; it may be {@code in} if none are moved
     */
    public void copy(CudaStream stream, DeviceMatrix in, int rowStep, Selection selection, DeviceMatrix out) {
        require(selection.rowOf() != null || (out.rows() - 1L) * rowStep < in.rows(),
                "copy: %d rows, %d apart, of a matrix that has %d", out.rows(), rowStep, in.rows());
        require(selection.columnOf() != null || out.columns() <= in.columns(), "copy: %d columns of a matrix that has %d",
                out.columns(), in.columns());
        gatherArgs.set(0, in.values()).set(1, out.values());
        setOptional(gatherArgs, 2, selection.rowOf(), "rowOf [rows]", out.rows(), Integer.BYTES);
        setOptional(gatherArgs, 3, selection.columnOf(), "columnOf [columns]", out.columns(), Integer.BYTES);
        setOptional(gatherArgs, 4, selection.rowFactor(), "rowFactor [rows]", out.rows(), Double.BYTES);
        setOptional(gatherArgs, 5, selection.columnFactor(), "columnFactor [columns]", out.columns(), Double.BYTES);
        gatherArgs.set(6, out.rows()).set(7, out.columns()).set(8, in.stride()).set(9, out.stride()).set(10, rowStep);
        gather.launch(stream, LaunchShape.of(1, THREADS)
                .grid(runs(out.columns()), Math.min(out.rows(), MAX_GRID_Y), 1), gatherArgs);
    }

    /** Queues {@code to += from}; both contiguous and of one shape. */
    public void add(CudaStream stream, DeviceMatrix to, DeviceMatrix from) {
        requireContiguous(to);
        requireContiguous(from);
        requireShape("add: from", from, to);
        addArgs.set(0, to.values()).set(1, from.values()).set(2, to.rows()).set(3, to.columns());
        add.launch(stream, LaunchShape.of(runs((long) to.rows() * to.columns()), THREADS), addArgs);
    }

    /**
     * Queues {@code out[i] = Σ_j a[i,j] · (factor · b[i,j] − c[i,j])}, in float64.
     *
     * @param c   null for zeros
     * @param out {@code [rows]} f64
     */
    public void rowDots(CudaStream stream, DeviceMatrix a, float factor, DeviceMatrix b, DeviceMatrix c,
            DeviceBuffer out) {
        requireContiguous(a);
        requireContiguous(b);
        requireShape("rowDots: b", b, a);
        dotsArgs.set(0, a.values()).set(1, b.values());
        if (c == null) {
            dotsArgs.setNull(2);
        } else {
            requireContiguous(c);
            requireShape("rowDots: c", c, a);
            dotsArgs.set(2, c.values());
        }
        dotsArgs.set(3, out.require(NAME, "out [rows]", a.rows(), Double.BYTES)).set(4, a.columns()).set(5, factor);
        dots.launch(stream, LaunchShape.of(a.rows(), THREADS), dotsArgs);
    }

    /** Queues {@code out[i] = max_j |a[i,j]|}; out is {@code [rows]} f32. */
    public void rowAbsmax(CudaStream stream, DeviceMatrix a, DeviceBuffer out) {
        requireContiguous(a);
        absmaxArgs.set(0, a.values()).set(1, out.require(NAME, "out [rows]", a.rows(), Float.BYTES)).set(2, a.columns());
        absmax.launch(stream, LaunchShape.of(a.rows(), THREADS), absmaxArgs);
    }

    private static void setOptional(KernelArgs args, int index, DeviceBuffer buffer, String operand, int count,
            int bytes) {
        if (buffer == null) {
            args.setNull(index);
        } else {
            args.set(index, buffer.require(NAME, operand, count, bytes));
        }
    }

    private static int runs(long count) {
        return Math.toIntExact((count + THREADS - 1) / THREADS);
    }

    private static void requireContiguous(DeviceMatrix a) {
        require(a.isContiguous(), "'%s' has rows of %d that are %d apart; they must follow each other",
                a.values().label(), a.columns(), a.stride());
    }

    private static void requireShape(String what, DeviceMatrix actual, DeviceMatrix required) {
        require(actual.rows() == required.rows() && actual.columns() == required.columns(),
                "%s is [%d, %d], required [%d, %d]", what, actual.rows(), actual.columns(), required.rows(),
                required.columns());
    }

    private static void require(boolean holds, String message, Object... values) {
        if (!holds) {
            throw new IllegalArgumentException(NAME + ": " + message.formatted(values));
        }
    }
}
