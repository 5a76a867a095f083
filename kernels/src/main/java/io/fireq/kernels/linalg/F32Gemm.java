package io.fireq.kernels.linalg;

import static io.fireq.kernels.cuda.KernelArgs.Type.ADDRESS;
import static io.fireq.kernels.cuda.KernelArgs.Type.FLOAT;
import static io.fireq.kernels.cuda.KernelArgs.Type.INT;

import io.fireq.kernels.catalog.KernelConfig;
import io.fireq.kernels.catalog.KernelSpec;
import io.fireq.kernels.cuda.CudaContext;
import io.fireq.kernels.cuda.CudaStream;
import io.fireq.kernels.cuda.KernelArgs;
import io.fireq.kernels.cuda.KernelFunction;
import io.fireq.kernels.cuda.LaunchShape;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Products of float32 matrices: {@code c = (add ? c : 0) + alpha · a · b}. The same operands give the same bits. */
public final class F32Gemm {
    private static final String NAME = "F32Gemm";
    private static final int TILE = 128;
    private static final int THREADS = 256;
    private static final int WIDE = 4;
    private static final int NARROW = 1;

    private final Map<KernelSpec, KernelFunction> kernels = new HashMap<>();
    private final KernelArgs args = new KernelArgs(ADDRESS, ADDRESS, ADDRESS, INT, INT, INT, INT, INT, INT, INT, INT, INT,
            INT, FLOAT, INT, INT);

    public F32Gemm(CudaContext context) {
        for (KernelSpec spec : specs()) {
            kernels.put(spec, context.kernel(spec));
        }
    }

    /** Which part of a square result is made; the rest of it keeps what it holds, but for tiles that reach into the part. */
    public enum Part {
        ALL,
        /** On and above the diagonal. */
        UPPER,
        /** On and below the diagonal. */
        LOWER
    }

    /**
     * A matrix of a product, as it lies in memory or transposed.
     */
    public record Operand(DeviceMatrix matrix, boolean transposed) {
        int rows() {
            return transposed ? matrix.columns() : matrix.rows();
        }

        int columns() {
            return transposed ? matrix.rows() : matrix.columns();
        }

        private boolean isWide() {
            return F32Gemm.isWide(matrix);
        }
    }

    /** As it lies in memory. */
    public static Operand plain(DeviceMatrix matrix) {
        return new Operand(matrix, false);
    }

    /** Rows as columns. */
    public static Operand transposed(DeviceMatrix matrix) {
        return new Operand(matrix, true);
    }

    /**
     * Several products of the same shape at once, the operands of the next {@code aDistance}, {@code bDistance} and
     * {@code cDistance} elements behind those of the one before.
     *
     * @param count   products
     * @param bShared how many of them in a row take the same b
     */
    public record Batch(int count, int aDistance, int bDistance, int cDistance, int bShared) {
        /** One product. */
        public static final Batch ONE = new Batch(1, 0, 0, 0, 1);
    }

    /** The kernels to build. */
    public static List<KernelSpec> specs() {
        List<KernelSpec> specs = new ArrayList<>();
        for (boolean aTransposed : new boolean[] {false, true}) {
            for (boolean bTransposed : new boolean[] {false, true}) {
                if (!(aTransposed && bTransposed)) {
                    specs.add(spec(aTransposed, bTransposed, WIDE));
                    specs.add(spec(aTransposed, bTransposed, NARROW));
                }
            }
        }
        return specs;
    }

    private static KernelSpec spec(boolean aTransposed, boolean bTransposed, int vector) {
        return new KernelSpec("linalg/f32_gemm.cuh", "f32_gemm", KernelConfig.empty().with("A_TRANSPOSED", aTransposed)
                .with("B_TRANSPOSED", bTransposed).with("VECTOR", vector), vector == WIDE);
    }

    /** Queues {@code c = alpha · a · b}. */
    public void multiply(CudaStream stream, float alpha, Operand a, Operand b, DeviceMatrix c) {
        launch(stream, alpha, a, b, false, Part.ALL, c, Batch.ONE);
    }

    /** Queues {@code c += alpha · a · b}. */
    public void add(CudaStream stream, float alpha, Operand a, Operand b, DeviceMatrix c) {
        launch(stream, alpha, a, b, true, Part.ALL, c, Batch.ONE);
    }

    /** Queues {@code c += alpha · a · b} for a part of a square c. */
    public void addPart(CudaStream stream, float alpha, Operand a, Operand b, Part part, DeviceMatrix c) {
        launch(stream, alpha, a, b, true, part, c, Batch.ONE);
    }

    /**
     * Queues {@code c = (add ? c : 0) + alpha · a · b}.
     *
     * @param a {@code [m, k]}; not transposed where b is
     * @param b {@code [k, n]}
     * @param c {@code [m, n]}; overlaps neither a nor b
     * @throws IllegalArgumentException if the shapes do not go together
     */
    public void launch(CudaStream stream, float alpha, Operand a, Operand b, boolean add, Part part, DeviceMatrix c,
            Batch batch) {
        if (a.columns() != b.rows() || c.rows() != a.rows() || c.columns() != b.columns()
                || part != Part.ALL && c.rows() != c.columns()) {
            throw new IllegalArgumentException(
                    "%s: a [%d, %d] times b [%d, %d] into c [%d, %d], %s; required [m, k], [k, n] and [m, n], square for a part"
                            .formatted(NAME, a.rows(), a.columns(), b.rows(), b.columns(), c.rows(), c.columns(), part));
        }
        boolean isWide = a.isWide() && b.isWide() && isWide(c) && batch.aDistance() % WIDE == 0
                && batch.bDistance() % WIDE == 0 && batch.cDistance() % WIDE == 0;
        KernelFunction kernel = kernels.get(spec(a.transposed(), b.transposed(), isWide ? WIDE : NARROW));
        if (kernel == null) {
            throw new IllegalArgumentException(NAME + ": a and b are both transposed; transpose the product instead");
        }
        args.set(0, a.matrix().values()).set(1, b.matrix().values()).set(2, c.values());
        args.set(3, c.rows()).set(4, c.columns()).set(5, a.columns());
        args.set(6, a.matrix().stride()).set(7, b.matrix().stride()).set(8, c.stride());
        args.set(9, batch.aDistance()).set(10, batch.bDistance()).set(11, batch.cDistance()).set(12, batch.bShared());
        args.set(13, alpha).set(14, add ? 1 : 0).set(15, part.ordinal());
        kernel.launch(stream, LaunchShape.of(1, THREADS).grid(tiles(c.columns()), tiles(c.rows()), batch.count()), args);
    }

    private static int tiles(int extent) {
        return (extent + TILE - 1) / TILE;
    }

    private static boolean isWide(DeviceMatrix matrix) {
        return matrix.columns() % WIDE == 0 && matrix.stride() % WIDE == 0 && matrix.values().isAligned(4 * WIDE);
    }
}
