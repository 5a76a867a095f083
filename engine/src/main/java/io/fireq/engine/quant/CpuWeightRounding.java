package io.fireq.engine.quant;

import io.fireq.engine.tensor.E4m3;
import io.fireq.engine.tensor.Int4Matrix;
import java.util.Arrays;

/** The readable definition of {@link WeightRounding}, on weights divided by their row scale. */
final class CpuWeightRounding implements WeightRounding {
    /** Scales tried, relative to the one that spans the group without clipping. */
    private static final float LOWEST = 0.45f;
    private static final float HIGHEST = 1.15f;
    private static final int ROWS_AT_ONCE = 8;

    private final CpuMatrixMath math;
    private final float[] weights;
    private final int n;
    private final int k;
    private final int groupSize;
    /** {@code [16]} what the codes stand for. */
    private final float[] values;
    private final float[] rowScale;
    /** σ of each row and group. */
    private final float[] scales;
    /** Rounded weights, divided by the row scale: e4m3 values. */
    private final float[] rounded;
    private final byte[] codes;

    /**
     * @param weights {@code [n, k]}, finite; not changed
     * @param values  {@code [16]} what the codes stand for
     */
    CpuWeightRounding(CpuMatrixMath math, float[] weights, int n, int k, int groupSize, float[] values) {
        this.math = math;
        this.weights = weights;
        this.n = n;
        this.k = k;
        this.groupSize = groupSize;
        this.values = values;
        rowScale = new float[n];
        scales = new float[n * (k / groupSize)];
        rounded = new float[Math.multiplyExact(n, k)];
        codes = new byte[n * k];
        for (int row = 0; row < n; row++) {
            rowScale[row] = WeightRounding.rowScale(absmax(weights, row * k, k));
        }
    }

    @Override
    public void roundWithFeedback(Matrix factor, int[] order) {
        float[] triangle = CpuMatrix.values(factor);
        float[] rest = scaled(order); // what is left to round, in order
        float[] errors = new float[n * groupSize];
        for (int begin = 0; begin < k; begin += groupSize) {
            int from = begin;
            float[][] block = new float[groupSize][groupSize];
            float[] importance = new float[groupSize];
            for (int j = 0; j < groupSize; j++) {
                System.arraycopy(triangle, (from + j) * k + from, block[j], 0, groupSize);
                importance[j] = 1 / (block[j][j] * block[j][j]);
            }
            math.parallelFor(n, ROWS_AT_ONCE, (low, high) -> {
                Int4Grid grid = new Int4Grid(values);
                float[] group = new float[groupSize];
                for (int row = low; row < high; row++) {
                    System.arraycopy(rest, row * k + from, group, 0, groupSize);
                    chooseScale(row, column(order, from) / groupSize, group, importance, grid);
                    for (int j = 0; j < groupSize; j++) {
                        int rank = grid.nearest(group[j]);
                        store(row, column(order, from + j), grid, rank);
                        float error = (group[j] - grid.value(rank)) / block[j][j];
                        errors[row * groupSize + j] = -error;
                        subtract(group, j + 1, error, block[j]);
                    }
                }
            });
            int behind = from + groupSize;
            if (behind < k) {
                math.addProduct(errors, 0, groupSize, n, triangle, from * k + behind, k, groupSize, k - behind, rest,
                        behind, k);
            }
        }
    }

    private static void subtract(float[] group, int from, float factor, float[] row) {
        for (int i = from; i < row.length; i++) {
            group[i] -= factor * row[i];
        }
    }

    @Override
    public void round(float[] importance) {
        math.parallelFor(n, ROWS_AT_ONCE, (low, high) -> {
            Int4Grid grid = new Int4Grid(values);
            float[] group = new float[groupSize];
            float[] groupImportance = new float[groupSize];
            Arrays.fill(groupImportance, 1);
            for (int row = low; row < high; row++) {
                for (int from = 0; from < k; from += groupSize) {
                    for (int j = 0; j < groupSize; j++) {
                        group[j] = weights[row * k + from + j] / rowScale[row];
                    }
                    if (importance != null) {
                        System.arraycopy(importance, from, groupImportance, 0, groupSize);
                    }
                    chooseScale(row, from / groupSize, group, groupImportance, grid);
                    for (int j = 0; j < groupSize; j++) {
                        store(row, from + j, grid, grid.nearest(group[j]));
                    }
                }
            }
        });
    }

    private void chooseScale(int row, int groupIndex, float[] group, float[] importance, Int4Grid grid) {
        float nominal = grid.scaleFor(absmax(group, 0, groupSize));
        int lowest = Math.max(1, E4m3.encode(nominal * LOWEST));
        int highest = Math.max(lowest, E4m3.encode(nominal * HIGHEST));
        int best = lowest;
        float bestError = Float.POSITIVE_INFINITY;
        for (int code = lowest; code <= highest; code++) { // positive e4m3 values ascend with their codes
            grid.scale(E4m3.decode((byte) code));
            float error = 0;
            for (int j = 0; j < groupSize && error < bestError; j++) {
                float difference = group[j] - grid.value(grid.nearest(group[j]));
                error += importance[j] * difference * difference;
            }
            if (error < bestError) {
                bestError = error;
                best = code;
            }
        }
        float scale = E4m3.decode((byte) best);
        grid.scale(scale);
        scales[row * (k / groupSize) + groupIndex] = scale;
    }

    @Override
    public void refine(Matrix moments) {
        float[] gram = CpuMatrix.values(moments);
        float[] gradient = new float[n * k]; // (W − Q) · H, kept up to date group by group
        math.addProduct(differences(), 0, k, n, gram, 0, k, k, k, gradient, 0, k);
        float[] changes = new float[n * groupSize];
        for (int begin = 0; begin < k; begin += groupSize) {
            int from = begin;
            float[][] block = new float[groupSize][groupSize];
            for (int j = 0; j < groupSize; j++) {
                System.arraycopy(gram, (from + j) * k + from, block[j], 0, groupSize);
            }
            math.parallelFor(n, ROWS_AT_ONCE, (low, high) -> {
                Int4Grid grid = new Int4Grid(values);
                float[] slope = new float[groupSize];
                for (int row = low; row < high; row++) {
                    grid.scale(scales[row * (k / groupSize) + from / groupSize]);
                    System.arraycopy(gradient, row * k + from, slope, 0, groupSize);
                    for (int j = 0; j < groupSize; j++) {
                        float old = rounded[row * k + from + j];
                        int rank = grid.nearest(old + slope[j] / block[j][j]);
                        float change = grid.value(rank) - old;
                        changes[row * groupSize + j] = -change;
                        if (change != 0) {
                            store(row, from + j, grid, rank);
                            subtract(slope, 0, change, block[j]);
                        }
                    }
                }
            });
            int behind = from + groupSize;
            if (behind < k) {
                math.addProduct(changes, 0, groupSize, n, gram, from * k + behind, k, groupSize, k - behind, gradient,
                        behind, k);
            }
        }
    }

    @Override
    public void fitRowScales(Matrix moments) {
        float[] gram = CpuMatrix.values(moments);
        float[] product = new float[n * k];
        math.addProduct(rounded, 0, k, n, gram, 0, k, k, k, product, 0, k);
        for (int row = 0; row < n; row++) {
            double wq = 0;
            double qq = 0;
            for (int i = row * k; i < (row + 1) * k; i++) {
                wq += (double) weights[i] * product[i];
                qq += (double) rounded[i] * product[i];
            }
            double fitted = wq / qq;
            if (fitted > 0.5 * rowScale[row] && fitted < 2 * rowScale[row]) { // else it is noise, or nothing at all
                rowScale[row] = (float) fitted;
            }
        }
    }

    @Override
    public double outputError(Matrix moments) {
        float[] gram = CpuMatrix.values(moments);
        float[] differences = differences();
        float[] product = new float[n * k];
        math.addProduct(differences, 0, k, n, gram, 0, k, k, k, product, 0, k);
        double total = 0;
        for (int row = 0; row < n; row++) {
            double sum = 0;
            for (int i = row * k; i < (row + 1) * k; i++) {
                sum += (double) differences[i] * product[i];
            }
            total += sum * rowScale[row] * rowScale[row];
        }
        return total;
    }

    @Override
    public double squaredError() {
        double total = 0;
        for (int i = 0; i < rounded.length; i++) {
            double error = weights[i] - (double) rowScale[i / k] * rounded[i];
            total += error * error;
        }
        return total;
    }

    @Override
    public double clipShare() {
        long clipped = 0;
        Int4Grid grid = new Int4Grid(values);
        for (int row = 0; row < n; row++) {
            for (int from = 0; from < k; from += groupSize) {
                grid.scale(scales[row * (k / groupSize) + from / groupSize]);
                for (int i = row * k + from; i < row * k + from + groupSize; i++) {
                    float x = weights[i] / rowScale[row];
                    clipped += x > grid.highest() || x < grid.lowest() ? 1 : 0;
                }
            }
        }
        return (double) clipped / weights.length;
    }

    @Override
    public Int4Matrix toMatrix(String name) {
        Int4Packer packer = new Int4Packer(n, k, groupSize);
        for (int row = 0; row < n; row++) {
            packer.rowScale(row, rowScale[row]);
            for (int group = 0; group < k / groupSize; group++) {
                packer.groupScale(row, group, scales[row * (k / groupSize) + group]);
            }
            for (int column = 0; column < k; column++) {
                packer.code(row, column, codes[row * k + column]);
            }
        }
        return packer.build(name, values.clone());
    }

    private float[] differences() {
        float[] differences = new float[n * k];
        for (int i = 0; i < differences.length; i++) {
            differences[i] = weights[i] / rowScale[i / k] - rounded[i];
        }
        return differences;
    }

    private float[] scaled(int[] order) {
        float[] scaled = new float[n * k];
        for (int row = 0; row < n; row++) {
            for (int j = 0; j < k; j++) {
                scaled[row * k + j] = weights[row * k + column(order, j)] / rowScale[row];
            }
        }
        return scaled;
    }

    private static int column(int[] order, int j) {
        return order == null ? j : order[j];
    }

    private void store(int row, int column, Int4Grid grid, int rank) {
        codes[row * k + column] = grid.code(rank);
        rounded[row * k + column] = grid.value(rank);
    }

    private static float absmax(float[] values, int from, int count) {
        float max = 0;
        for (int i = from; i < from + count; i++) {
            max = Math.max(max, Math.abs(values[i]));
        }
        return max;
    }

    @Override
    public void close() {}
}
