package io.fireq.engine.backend.cuda;

import io.fireq.engine.api.FireqException;
import io.fireq.kernels.DeviceException;
import io.fireq.kernels.cuda.CudaContext;
import io.fireq.kernels.cuda.CudaStream;
import io.fireq.kernels.cuda.DeviceBuffer;
import io.fireq.kernels.linalg.DeviceMatrix;
import io.fireq.kernels.linalg.F32Gemm;
import io.fireq.kernels.linalg.GroupRounding;
import io.fireq.kernels.linalg.InverseCholesky;
import io.fireq.kernels.linalg.MatrixOps;
import java.util.HashSet;
import java.util.Set;

/**
 * Float32 matrix work on the GPU, for quantizing. Calls queue kernels in one stream; those that return numbers wait. The
 * same calls on the same kind of GPU give the same bits.
 *
 * <p>One caller at a time, the thread that opened it. {@link #close} frees every matrix that is left.
 */
public final class CudaMath implements AutoCloseable {
    /** Tokens whose products are summed before they join the total, as on the CPU. */
    private static final int CHUNK = 512;
    /** Added to a diagonal, relative to its mean: a dead channel must not make the matrix singular. */
    private static final double FLOOR = 1e-6;

    private final CudaContext context;
    private final DeviceResources resources;
    private final Set<DeviceBuffer> buffers = new HashSet<>();
    private final CudaStream stream;
    private final WeightStaging staging;
    private final HostTransfer transfer;
    private final F32Gemm gemm;
    private final InverseCholesky cholesky;
    private final MatrixOps ops;
    private final GroupRounding rounding;
    private DeviceBuffer tokensX;
    private DeviceBuffer tokensY;

    private CudaMath(DeviceResources resources) {
        this.resources = resources;
        context = resources.context();
        try {
            stream = resources.own(context.newStream());
            resources.own(() -> buffers.forEach(DeviceBuffer::close));
            staging = resources.own(new WeightStaging(context, stream));
            transfer = resources.own(new HostTransfer(context, stream));
            gemm = new F32Gemm(context);
            ops = new MatrixOps(context);
            cholesky = new InverseCholesky(context, gemm, ops);
            rounding = new GroupRounding(context);
        } catch (RuntimeException | Error e) {
            close();
            throw e;
        }
    }

    /**
     * Opens device 0.
     *
     * @throws FireqException if there is no GPU to use, with the reason
     */
    public static CudaMath open() {
        return new CudaMath(DeviceResources.open("Matrix work on CUDA"));
    }

    /** Such as "CUDA, NVIDIA H200". */
    public String description() {
        return "CUDA, " + context.device().name();
    }

    /** Zeros. */
    public CudaMatrix zeros(int rows, int columns) {
        CudaMatrix matrix = matrix("matrix", rows, columns);
        matrix.view().values().fillAsync(stream, (byte) 0);
        return matrix;
    }

    /** @param values {@code [values.length / columns, columns]} */
    public CudaMatrix upload(float[] values, int columns) {
        CudaMatrix matrix = matrix("uploaded matrix", values.length / columns, columns);
        staging.upload(matrix.view().values(), 0, values);
        return matrix;
    }

    /** {@code [rows · columns]}. */
    public float[] download(CudaMatrix a) {
        float[] values = new float[Math.multiplyExact(a.rows(), a.columns())];
        transfer.download(a.view().values(), values);
        return values;
    }

    /** A copy of rows 0, step, 2 step, …. */
    public CudaMatrix everyRow(CudaMatrix a, int step) {
        CudaMatrix rows = matrix("sampled rows", (a.rows() + step - 1) / step, a.columns());
        ops.copy(stream, a.view(), step, MatrixOps.Selection.ALL, rows.view());
        return rows;
    }

    /** A copy of {@code count} rows. */
    public CudaMatrix rows(CudaMatrix a, int from, int count) {
        CudaMatrix rows = matrix("rows", count, a.columns());
        ops.copy(stream, a.view().block(from, 0, count, a.columns()), 1, MatrixOps.Selection.ALL, rows.view());
        return rows;
    }

    /** {@code result[i,j] = a[order[i], order[j]]}. */
    public CudaMatrix permuted(CudaMatrix a, int[] order) {
        CudaMatrix result = matrix("permuted matrix", a.rows(), a.columns());
        try (CudaMatrix indices = indices(order)) {
            ops.copy(stream, a.view(), 1, new MatrixOps.Selection(indices.view().values(), indices.view().values(), null,
                    null), result.view());
        }
        return result;
    }

    /** {@code result[i,j] = a[i,j] · rowFactor[i] · columnFactor[j]}; either factor may be null for ones. */
    public CudaMatrix scaled(CudaMatrix a, double[] rowFactor, double[] columnFactor) {
        CudaMatrix result = matrix("scaled matrix", a.rows(), a.columns());
        DeviceBuffer rows = doubles(rowFactor);
        DeviceBuffer columns = doubles(columnFactor);
        ops.copy(stream, a.view(), 1, new MatrixOps.Selection(null, null, rows, columns), result.view());
        free(rows);
        free(columns);
        return result;
    }

    /** Of a square matrix. */
    public float[] diagonal(CudaMatrix a) {
        float[] diagonal = new float[a.rows()];
        try (CudaMatrix copy = matrix("diagonal", a.rows(), 1)) {
            ops.copy(stream, diagonalOf(a), 1, MatrixOps.Selection.ALL, copy.view());
            transfer.download(copy.view().values(), diagonal);
        }
        return diagonal;
    }

    /** A copy with another diagonal. */
    public CudaMatrix withDiagonal(CudaMatrix a, float[] diagonal) {
        CudaMatrix result = rows(a, 0, a.rows());
        try (CudaMatrix values = upload(diagonal, 1)) {
            ops.copy(stream, values.view(), 1, MatrixOps.Selection.ALL, diagonalOf(result));
        }
        return result;
    }

    /** One column whose rows are a row and an element apart. */
    private static DeviceMatrix diagonalOf(CudaMatrix a) {
        return new DeviceMatrix(a.view().values(), a.rows(), 1, a.columns() + 1);
    }

    /**
     * {@code sum[i,j] += Σ_t x[t,i] · x[t,j]} on and above the diagonal.
     *
     * @param x {@code [nTokens, k]}
     */
    public void addGram(float[] x, int nTokens, CudaMatrix sum) {
        int k = sum.columns();
        for (int from = 0; from < nTokens; from += CHUNK) {
            int count = Math.min(CHUNK, nTokens - from);
            tokensX = atLeast(tokensX, "tokens", (long) count * k);
            DeviceMatrix tokens = tokens(tokensX, x, from, count, k);
            gemm.addPart(stream, 1, F32Gemm.transposed(tokens), F32Gemm.plain(tokens), F32Gemm.Part.UPPER, sum.view());
        }
    }

    /** {@code sum[i,j] += Σ_t y[t,i] · x[t,j]}; y is {@code [nTokens, n]}, x {@code [nTokens, k]}, sum {@code [n, k]}. */
    public void addCross(float[] y, float[] x, int nTokens, CudaMatrix sum) {
        int n = sum.rows();
        int k = sum.columns();
        for (int from = 0; from < nTokens; from += CHUNK) {
            int count = Math.min(CHUNK, nTokens - from);
            tokensY = atLeast(tokensY, "reference tokens", (long) count * n);
            tokensX = atLeast(tokensX, "tokens", (long) count * k);
            gemm.add(stream, 1, F32Gemm.transposed(tokens(tokensY, y, from, count, n)),
                    F32Gemm.plain(tokens(tokensX, x, from, count, k)), sum.view());
        }
    }

    private DeviceMatrix tokens(DeviceBuffer buffer, float[] values, int from, int count, int width) {
        staging.upload(buffer, 0, values, from * width, count * width);
        return DeviceMatrix.of(buffer, count, width);
    }

    /** Copies what lies above the diagonal below it. */
    public void mirror(CudaMatrix a) {
        ops.mirror(stream, a.view());
    }

    /** {@code to += from}. */
    public void add(CudaMatrix to, CudaMatrix from) {
        ops.add(stream, to.view(), from.view());
    }

    /** {@code Σ a[i,j] · (factor · b[i,j] − c[i,j])} in float64; c may be null for zeros. */
    public double dot(CudaMatrix a, float factor, CudaMatrix b, CudaMatrix c) {
        double total = 0;
        for (double row : rowDots(a.view(), factor, b.view(), c == null ? null : c.view())) {
            total += row;
        }
        return total;
    }

    double[] rowDots(DeviceMatrix a, float factor, DeviceMatrix b, DeviceMatrix c) {
        double[] sums = new double[a.rows()];
        DeviceBuffer device = allocate("row sums", (long) a.rows() * Double.BYTES);
        ops.rowDots(stream, a, factor, b, c, device);
        transfer.download(device, sums);
        free(device);
        return sums;
    }

    /** {@code c += factor · a · b}. */
    public void addProduct(float factor, CudaMatrix a, CudaMatrix b, CudaMatrix c) {
        gemm.add(stream, factor, F32Gemm.plain(a.view()), F32Gemm.plain(b.view()), c.view());
    }

    /** {@code a · UᵀU}. */
    public CudaMatrix timesInverse(CudaMatrix a, CudaMatrix triangle) {
        CudaMatrix whole = matrix("product", a.rows(), a.columns());
        try (CudaMatrix half = matrix("half of a product", a.rows(), a.columns())) {
            gemm.multiply(stream, 1, F32Gemm.plain(a.view()), F32Gemm.transposed(triangle.view()), half.view());
            gemm.multiply(stream, 1, F32Gemm.plain(half.view()), F32Gemm.plain(triangle.view()), whole.view());
        }
        return whole;
    }

    /**
     * The upper triangular U with {@code UᵀU = (A + damping)⁻¹}, where damping adds {@code relative · A[i,i]}, and a
     * trace of the mean, to each element of the diagonal.
     *
     * @param a {@code [k, k]} symmetric
     * @throws IllegalArgumentException if it is not positive definite
     */
    public CudaMatrix inverseCholesky(CudaMatrix a, double relative) {
        float[] diagonal = diagonal(a);
        double trace = 0;
        for (float value : diagonal) {
            trace += value;
        }
        double floor = trace > 0 ? FLOOR * trace / diagonal.length : 1;
        for (int i = 0; i < diagonal.length; i++) {
            diagonal[i] = (float) (diagonal[i] * (1 + relative) + floor);
        }
        CudaMatrix result = matrix("inverse Cholesky factor", a.rows(), a.columns());
        try (CudaMatrix damped = withDiagonal(a, diagonal)) {
            cholesky.run(stream, damped.view(), result.view());
            return result;
        } catch (RuntimeException | Error e) {
            result.close();
            throw e;
        }
    }

    /**
     * Starts the rounding of a weight to INT4.
     *
     * @param weights   {@code [n, k]}, finite; not changed
     * @param groupSize a divisor of k
     * @param values    {@code [16]} what the codes stand for
     * @param rowScale  what a row with a largest magnitude is divided by
     */
    public CudaRounding rounding(CudaMatrix weights, int groupSize, float[] values, CudaRounding.RowScale rowScale) {
        return new CudaRounding(this, weights, groupSize, values, rowScale);
    }

    // For CudaRounding.

    CudaStream stream() {
        return stream;
    }

    F32Gemm gemm() {
        return gemm;
    }

    MatrixOps ops() {
        return ops;
    }

    GroupRounding groupRounding() {
        return rounding;
    }

    WeightStaging staging() {
        return staging;
    }

    HostTransfer transfer() {
        return transfer;
    }

    CudaMatrix matrix(String label, int rows, int columns) {
        return new CudaMatrix(this, allocate("%s [%d, %d]".formatted(label, rows, columns),
                Math.multiplyExact((long) rows * columns, Float.BYTES)), rows, columns);
    }

    /** A column of integers, in a matrix' memory. */
    CudaMatrix indices(int[] values) {
        CudaMatrix column = matrix("indices", values.length, 1);
        staging.upload(column.view().values(), 0, values.length, Integer.BYTES,
                (from, count, chunk) -> chunk.asIntBuffer().put(values, (int) from, count));
        return column;
    }

    private DeviceBuffer doubles(double[] values) {
        if (values == null) {
            return null;
        }
        DeviceBuffer buffer = allocate("factors", (long) values.length * Double.BYTES);
        staging.upload(buffer, 0, values.length, Double.BYTES,
                (from, count, chunk) -> chunk.asDoubleBuffer().put(values, (int) from, count));
        return buffer;
    }

    private DeviceBuffer atLeast(DeviceBuffer buffer, String label, long floats) {
        if (buffer != null && buffer.byteSize() >= floats * Float.BYTES) {
            return buffer;
        }
        free(buffer);
        return allocate(label, floats * Float.BYTES);
    }

    DeviceBuffer allocate(String label, long byteSize) {
        try {
            DeviceBuffer buffer = context.allocate(label, byteSize);
            buffers.add(buffer);
            return buffer;
        } catch (DeviceException e) {
            if (!e.isOutOfMemory()) {
                throw e;
            }
            throw new FireqException("Quantizing on the GPU: %s; end other programs on it, or quantize on the CPU"
                    .formatted(e.getMessage()), e);
        }
    }

    /** Frees a buffer behind what is queued; null is nothing to free. */
    void free(DeviceBuffer buffer) {
        if (buffer != null && buffers.remove(buffer)) {
            stream.synchronize();
            buffer.close();
        }
    }

    @Override
    public void close() {
        resources.close();
    }
}
