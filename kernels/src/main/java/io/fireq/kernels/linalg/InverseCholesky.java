package io.fireq.kernels.linalg;

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
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;

/**
 * The upper triangular U with {@code UᵀU = A⁻¹}, in float32 with diagonal blocks in float64.
 *
 * <pre>{@code
 *   A = Ũ·Ũᵀ, Ũ upper triangular; U = Ũ⁻¹. Counted from the end Ũ is a lower Cholesky factor L, so A is reversed first:
 *
 *   for each block column j:   L[j,j] and L[j,j]⁻¹            factor_diagonal_block
 *                              L[i,j] = A[i,j] · L[j,j]⁻ᵀ     for all i > j
 *                              A[i,l] −= L[i,j] · L[l,j]ᵀ     on and below the diagonal
 *   for each block row j:      X[j,:] = L[j,j]⁻¹ · T[j,:]     X = L⁻¹, T what it lacks, zero at first
 *                              T[i,:] −= L[i,j] · X[j,:]      for all i > j
 * }</pre>
 */
public final class InverseCholesky {
    private static final int BLOCK = 128;
    private static final int FACTOR_THREADS = 512;
    private static final int FACTOR_SMEM_BYTES = Double.BYTES * BLOCK * (BLOCK + 2);
    private static final int REVERSE_THREADS = 256;

    private final CudaContext context;
    private final F32Gemm gemm;
    private final MatrixOps ops;
    private final KernelFunction factorBlock;
    private final KernelFunction reverse;
    private final KernelArgs factorArgs = new KernelArgs(ADDRESS, ADDRESS, ADDRESS, ADDRESS, INT, INT, INT, INT);
    private final KernelArgs reverseArgs = new KernelArgs(ADDRESS, ADDRESS, INT, INT);

    public InverseCholesky(CudaContext context, F32Gemm gemm, MatrixOps ops) {
        this.context = context;
        this.gemm = gemm;
        this.ops = ops;
        factorBlock = context.kernel(factorSpec());
        reverse = context.kernel(reverseSpec());
    }

    /** The kernels to build. */
    public static List<KernelSpec> specs() {
        return List.of(factorSpec(), reverseSpec());
    }

    private static KernelSpec factorSpec() {
        return new KernelSpec("linalg/factor_diagonal_block.cuh", "factor_diagonal_block",
                KernelConfig.empty().with("THREADS", FACTOR_THREADS).with("BLOCK", BLOCK), true);
    }

    private static KernelSpec reverseSpec() {
        return new KernelSpec("linalg/reverse.cuh", "reverse", KernelConfig.empty().with("THREADS", REVERSE_THREADS), true);
    }

    /**
     * Factors a matrix and waits for it. Takes memory for two more matrices of its size while it does.
     *
     * @param a      {@code [k, k]} symmetric, both triangles, contiguous; not changed
     * @param result {@code [k, k]} contiguous; U, zeros below the diagonal
     * @throws IllegalArgumentException if a is not positive definite
     */
    public void run(CudaStream stream, DeviceMatrix a, DeviceMatrix result) {
        int k = a.rows();
        if (a.columns() != k || result.rows() != k || result.columns() != k || !a.isContiguous()
                || !result.isContiguous()) {
            throw new IllegalArgumentException("InverseCholesky: a is [%d, %d] and the result [%d, %d]; both must be square and contiguous"
                    .formatted(a.rows(), a.columns(), result.rows(), result.columns()));
        }
        long bytes = (long) k * k * Float.BYTES;
        int nBlocks = (k + BLOCK - 1) / BLOCK;
        try (DeviceBuffer restBuffer = context.allocate("Cholesky rest [%d, %d]".formatted(k, k), bytes);
                DeviceBuffer lowerBuffer = context.allocate("Cholesky factor [%d, %d]".formatted(k, k), bytes);
                DeviceBuffer inverses = context.allocate("inverses of diagonal blocks",
                        (long) nBlocks * BLOCK * BLOCK * Float.BYTES);
                DeviceBuffer status = context.allocate("Cholesky status", Integer.BYTES)) {
            status.fillAsync(stream, (byte) 0xff);
            DeviceMatrix rest = DeviceMatrix.of(restBuffer, k, k);
            DeviceMatrix lower = DeviceMatrix.of(lowerBuffer, k, k);
            reverse(stream, a, rest);
            factor(stream, rest, lower, inverses, status);
            restBuffer.fillAsync(stream, (byte) 0);
            // The inverse takes the result's place, is turned into the rest's and copied back.
            result.values().slice(0, bytes, "inverse").fillAsync(stream, (byte) 0);
            invert(stream, lower, inverses, rest, result);
            reverse(stream, result, rest);
            result.values().copyAsync(stream, 0, restBuffer, 0, bytes);
            requirePositive(stream, status, k);
        }
    }

    private void factor(CudaStream stream, DeviceMatrix rest, DeviceMatrix lower, DeviceBuffer inverses,
            DeviceBuffer status) {
        int k = rest.rows();
        for (int from = 0; from < k; from += BLOCK) {
            int n = Math.min(BLOCK, k - from);
            DeviceMatrix inverse = inverse(inverses, from, n);
            factorArgs.set(0, rest.block(from, from, n, n).values()).set(1, lower.block(from, from, n, n).values())
                    .set(2, inverse.values()).set(3, status).set(4, n).set(5, k).set(6, k).set(7, from);
            factorBlock.launch(stream, LaunchShape.of(1, FACTOR_THREADS).smem(FACTOR_SMEM_BYTES), factorArgs);
            int behind = from + n;
            if (behind < k) {
                DeviceMatrix panel = lower.block(behind, from, k - behind, n);
                gemm.multiply(stream, 1, F32Gemm.plain(rest.block(behind, from, k - behind, n)),
                        F32Gemm.transposed(inverse), panel);
                gemm.addPart(stream, -1, F32Gemm.plain(panel), F32Gemm.transposed(panel), F32Gemm.Part.LOWER,
                        rest.block(behind, behind, k - behind, k - behind));
            }
        }
    }

    private void invert(CudaStream stream, DeviceMatrix lower, DeviceBuffer inverses, DeviceMatrix lacking,
            DeviceMatrix inverted) {
        int k = lower.rows();
        for (int from = 0; from < k; from += BLOCK) {
            int n = Math.min(BLOCK, k - from);
            DeviceMatrix inverse = inverse(inverses, from, n);
            if (from > 0) {
                gemm.multiply(stream, 1, F32Gemm.plain(inverse), F32Gemm.plain(lacking.block(from, 0, n, from)),
                        inverted.block(from, 0, n, from));
            }
            ops.copy(stream, inverse, 1, MatrixOps.Selection.ALL, inverted.block(from, from, n, n));
            int behind = from + n;
            if (behind < k) {
                gemm.add(stream, -1, F32Gemm.plain(lower.block(behind, from, k - behind, n)),
                        F32Gemm.plain(inverted.block(from, 0, n, behind)), lacking.block(behind, 0, k - behind, behind));
            }
        }
    }

    private static DeviceMatrix inverse(DeviceBuffer inverses, int from, int n) {
        long bytes = (long) BLOCK * BLOCK * Float.BYTES;
        return new DeviceMatrix(inverses.slice(from / BLOCK * bytes, bytes, "inverse of a diagonal block"), n, n, BLOCK);
    }

    private void reverse(CudaStream stream, DeviceMatrix from, DeviceMatrix to) {
        reverseArgs.set(0, from.values()).set(1, to.values()).set(2, from.rows()).set(3, from.columns());
        long size = (long) from.rows() * from.columns();
        reverse.launch(stream, LaunchShape.of(Math.toIntExact((size + REVERSE_THREADS - 1) / REVERSE_THREADS),
                REVERSE_THREADS), reverseArgs);
    }

    private static void requirePositive(CudaStream stream, DeviceBuffer status, int k) {
        stream.synchronize();
        ByteBuffer host = ByteBuffer.allocateDirect(Integer.BYTES).order(ByteOrder.nativeOrder());
        status.download(0, host);
        int place = host.getInt(0); // counted from the end
        if (place >= 0) {
            throw new IllegalArgumentException(
                    "Cholesky factorization: the pivot of row %d of %d is not above 0; the matrix is not positive definite"
                            .formatted(k - 1 - place, k));
        }
    }
}
