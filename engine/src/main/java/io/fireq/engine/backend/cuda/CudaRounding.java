package io.fireq.engine.backend.cuda;

import io.fireq.engine.tensor.Int4Matrix;
import io.fireq.kernels.cuda.DeviceBuffer;
import io.fireq.kernels.linalg.DeviceMatrix;
import io.fireq.kernels.linalg.F32Gemm;
import io.fireq.kernels.linalg.RoundedWeight;
import java.nio.ByteBuffer;
import java.util.Comparator;
import java.util.stream.IntStream;

/**
 * A weight {@code [n, k]} on its way to INT4 on the GPU. What counts is the error of the outputs for inputs with the
 * second moments H.
 */
public final class CudaRounding implements AutoCloseable {
    private final CudaMath math;
    private final int n;
    private final int k;
    private final int groupSize;
    private final float[] values;
    private final float[] rowScale;
    private final CudaMatrix weights;
    private final CudaMatrix rounded;
    private final DeviceBuffer rowScales;
    private final DeviceBuffer scales;
    private final DeviceBuffer codes;
    private final CudaMatrix levels;
    private final CudaMatrix codeOf;
    private final RoundedWeight device;

    /** What a row is divided by before it is rounded. */
    public interface RowScale {
        float of(float absmax);
    }

    CudaRounding(CudaMath math, CudaMatrix weights, int groupSize, float[] values, RowScale initialScale) {
        this.math = math;
        this.weights = weights;
        this.groupSize = groupSize;
        this.values = values.clone();
        n = weights.rows();
        k = weights.columns();
        int[] ascending = IntStream.range(0, Int4Matrix.CODES).boxed()
                .sorted(Comparator.comparingDouble(code -> values[code])).mapToInt(Integer::intValue).toArray();
        float[] ascendingValues = new float[Int4Matrix.CODES];
        for (int i = 0; i < ascendingValues.length; i++) {
            ascendingValues[i] = values[ascending[i]];
        }
        levels = math.upload(ascendingValues, 1);
        codeOf = math.indices(ascending);
        rounded = math.matrix("rounded weight", n, k);
        rowScales = math.allocate("row scales [%d]".formatted(n), (long) n * Float.BYTES);
        scales = math.allocate("group scales [%d, %d]".formatted(n, k / groupSize), (long) n * (k / groupSize));
        codes = math.allocate("codes [%d, %d]".formatted(n, k), (long) n * k);
        device = new RoundedWeight(weights.view(), groupSize, rowScales, scales, rounded.view(), codes,
                levels.view().values(), codeOf.view().values());
        rowScale = new float[n];
        math.ops().rowAbsmax(math.stream(), weights.view(), rowScales);
        math.transfer().download(rowScales, rowScale);
        for (int row = 0; row < n; row++) {
            rowScale[row] = initialScale.of(rowScale[row]);
        }
        math.staging().upload(rowScales, 0, rowScale);
    }

    /**
     * GPTQ: the error of each column is put right in the columns behind it, before their group's σ is chosen.
     *
     * @param triangle {@code [k, k]} U with {@code UᵀU = H⁻¹}, its columns in {@code order}
     * @param order    column {@code order[j]} is j-th, groups stay together; null for as they are
     */
    public void roundWithFeedback(CudaMatrix triangle, int[] order) {
        CudaMatrix indices = order == null ? null : math.indices(order);
        DeviceBuffer deviceOrder = indices == null ? null : indices.view().values();
        try (CudaMatrix rest = math.matrix("rest to round", n, k);
                CudaMatrix changes = math.matrix("errors of a group", n, groupSize)) {
            math.groupRounding().scaled(math.stream(), device, deviceOrder, rest.view());
            for (int group = 0; group < k / groupSize; group++) {
                math.groupRounding().roundWithFeedback(math.stream(), device, rest.view(), triangle.view(), deviceOrder,
                        group, changes.view());
                passOn(changes.view(), triangle.view(), group, rest.view());
            }
        } finally {
            if (indices != null) {
                indices.close();
            }
        }
    }

    /** {@code rest[:, behind] += changes · moments[group, behind]} for all columns behind the group. */
    private void passOn(DeviceMatrix changes, DeviceMatrix moments, int group, DeviceMatrix rest) {
        int from = group * groupSize;
        int behind = from + groupSize;
        if (behind < k) {
            math.gemm().add(math.stream(), 1, F32Gemm.plain(changes),
                    F32Gemm.plain(moments.block(from, behind, groupSize, k - behind)),
                    rest.block(0, behind, n, k - behind));
        }
    }

    /** Rounds each weight by itself, σ for the least error weighted by {@code importance [k]}; null for ones. */
    public void round(float[] importance) {
        CudaMatrix weight = importance == null ? null : math.upload(importance, 1);
        try (CudaMatrix rest = math.matrix("weights to round", n, k)) {
            math.groupRounding().scaled(math.stream(), device, null, rest.view());
            math.groupRounding().round(math.stream(), device, rest.view(),
                    weight == null ? null : weight.view().values());
        } finally {
            if (weight != null) {
                weight.close();
            }
        }
    }

    /** Sweeps over all codes and lets each take the value that is best given all others. */
    public void refine(CudaMatrix gram) {
        try (CudaMatrix gradient = productOfDifferences(gram);
                CudaMatrix changes = math.matrix("changes of a group", n, groupSize)) {
            for (int group = 0; group < k / groupSize; group++) {
                math.groupRounding().refine(math.stream(), device, gradient.view(), gram.view(), group, changes.view());
                passOn(changes.view(), gram.view(), group, gradient.view());
            }
        }
    }

    private CudaMatrix productOfDifferences(CudaMatrix gram) {
        CudaMatrix product = math.matrix("gradient", n, k);
        try (CudaMatrix differences = math.matrix("differences", n, k)) {
            math.groupRounding().differences(math.stream(), device, differences.view());
            math.gemm().multiply(math.stream(), 1, F32Gemm.plain(differences.view()), F32Gemm.plain(gram.view()),
                    product.view());
        }
        return product;
    }

    /** Gives each row the scale with the least error of its output: {@code wHq / qHq}. */
    public void fitRowScales(CudaMatrix gram) {
        double[] wq;
        double[] qq;
        try (CudaMatrix product = math.matrix("product", n, k)) {
            math.gemm().multiply(math.stream(), 1, F32Gemm.plain(rounded.view()), F32Gemm.plain(gram.view()),
                    product.view());
            wq = math.rowDots(product.view(), 1, weights.view(), null);
            qq = math.rowDots(product.view(), 1, rounded.view(), null);
        }
        for (int row = 0; row < n; row++) {
            double fitted = wq[row] / qq[row];
            if (fitted > 0.5 * rowScale[row] && fitted < 2 * rowScale[row]) { // else it is noise, or nothing at all
                rowScale[row] = (float) fitted;
            }
        }
        math.staging().upload(rowScales, 0, rowScale);
    }

    /** {@code tr (W − Q) H (W − Q)ᵀ}, in the units of the weights. */
    public double outputError(CudaMatrix gram) {
        double[] sums;
        try (CudaMatrix differences = math.matrix("differences", n, k);
                CudaMatrix product = math.matrix("product", n, k)) {
            math.groupRounding().differences(math.stream(), device, differences.view());
            math.gemm().multiply(math.stream(), 1, F32Gemm.plain(differences.view()), F32Gemm.plain(gram.view()),
                    product.view());
            sums = math.rowDots(differences.view(), 1, product.view(), null);
        }
        double total = 0;
        for (int row = 0; row < n; row++) {
            total += sums[row] * rowScale[row] * rowScale[row];
        }
        return total;
    }

    /** Σ (w − q)², in the units of the weights. */
    public double squaredError() {
        return errors()[0];
    }

    /** Share of the weights that lie outside of what their group can represent. */
    public double clipShare() {
        return errors()[1] / ((double) n * k);
    }

    private double[] errors() {
        double[] rows = new double[2 * n];
        DeviceBuffer buffer = math.allocate("errors of rows", (long) rows.length * Double.BYTES);
        math.groupRounding().errors(math.stream(), device, buffer);
        math.transfer().download(buffer, rows);
        math.free(buffer);
        double[] totals = new double[2];
        for (int i = 0; i < rows.length; i++) {
            totals[i % 2] += rows[i];
        }
        return totals;
    }

    /** The result, on the host. */
    public Int4Matrix toMatrix(String name) {
        byte[] packed = new byte[Math.multiplyExact(n, (k + 1) / 2)];
        byte[] groupScales = new byte[n * (k / groupSize)];
        DeviceBuffer buffer = math.allocate("packed codes", packed.length);
        math.groupRounding().pack(math.stream(), device, buffer);
        math.transfer().download(buffer, packed);
        math.free(buffer);
        math.transfer().download(scales, groupScales);
        return new Int4Matrix(name, n, k, groupSize, ByteBuffer.wrap(packed), ByteBuffer.wrap(groupScales),
                rowScale.clone(), values.clone());
    }

    @Override
    public void close() {
        rounded.close();
        levels.close();
        codeOf.close();
        math.free(rowScales);
        math.free(scales);
        math.free(codes);
    }
}
