package io.fireq.engine.quant;

import io.fireq.engine.tensor.Int4Matrix;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/** Rounds the matrices that share an input, with the parts of profile {@code best} that are chosen. */
final class LayerRounding {
    private static final int SWEEPS = 3;
    /** Every so many-th row judges the tables. */
    private static final int ROW_STEP = 8;

    private final MatrixMath math;
    private final QuantizerOptions options;

    LayerRounding(MatrixMath math, QuantizerOptions options) {
        this.math = math;
        this.options = options;
    }

    /**
     * @param matrix      the codes
     * @param table       what the codes stand for
     * @param sqnrDb      of the weights
     * @param outputSqnrDb of the outputs, over the tokens of the moments; NaN without moments
     * @param clipShare   weights beyond the largest code
     */
    record Rounded(Int4Matrix matrix, CodeTable table, double sqnrDb, double outputSqnrDb, double clipShare) {}

    /**
     * @param names    of the matrices
     * @param matrices each {@code [n, k]}
     * @param moments  of their input; null where it was not watched
     */
    List<Rounded> round(List<String> names, List<Matrix> matrices, Moments moments) {
        int k = matrices.get(0).columns();
        try (Steps steps = moments == null || moments.tokens() == 0
                ? new Steps(k, null, null, null)
                : steps(moments.joined().gram(), moments.tokens())) {
            // One table for all: a backend stacks them into one weight.
            CodeTable table = chooseTable(matrices, steps);
            List<Rounded> rounded = new ArrayList<>();
            for (int i = 0; i < matrices.size(); i++) {
                rounded.add(round(names.get(i), matrices.get(i), table, steps));
            }
            return rounded;
        }
    }

    private Rounded round(String name, Matrix matrix, CodeTable table, Steps steps) {
        try (WeightRounding rounding = steps.run(matrix, table)) {
            if (steps.gram != null && options.has(Part.REFINEMENT)) {
                for (int sweep = 0; sweep < SWEEPS; sweep++) {
                    rounding.refine(steps.gram);
                    rounding.fitRowScales(steps.gram);
                }
            }
            double output = steps.gram == null
                    ? Double.NaN
                    : Sqnr.decibels(energy(matrix, steps.gram), rounding.outputError(steps.gram));
            return new Rounded(rounding.toMatrix(name), table,
                    Sqnr.decibels(math.dot(matrix, matrix), rounding.squaredError()), output, rounding.clipShare());
        }
    }

    /** What plain rounding, with scales searched but no calibration, leaves of a matrix; by every eighth row. */
    double plainSqnrDb(float[] matrix, int k) {
        float[] sample = Rows.every(matrix, k, ROW_STEP);
        try (Matrix weights = math.upload(sample, k);
                WeightRounding plain =
                        math.rounding(weights, options.groupSizeFor(k), CodeTable.INTEGERS.levels())) {
            plain.round(null);
            return Sqnr.decibels(Sqnr.energy(sample), plain.squaredError());
        }
    }

    /**
     * The error of the outputs under column scales, if only every eighth row were rounded and that quickly.
     *
     * @param scales what column j of the matrices is multiplied by, and its input divided by
     * @param base   steps for the unscaled input
     */
    double quickError(float[][] matrices, int k, double[] scales, Steps base) {
        double error = 0;
        try (Steps scaled = base.scaled(scales)) {
            for (float[] matrix : matrices) {
                try (Matrix sample = math.upload(Rows.every(matrix, k, ROW_STEP), k);
                        Matrix weights = math.timesColumns(sample, scales);
                        WeightRounding rounding = scaled.run(weights, CodeTable.NORMAL)) {
                    error += rounding.outputError(scaled.gram);
                }
            }
        }
        return error;
    }

    /**
     * Prepares the rounding for an input.
     *
     * @param gram   H, {@code [k, k]}, both triangles; not changed
     * @param tokens that H is a sum over
     */
    Steps steps(Matrix gram, long tokens) {
        int k = gram.rows();
        // Few tokens say little about how channels go together: with fewer than k, H has directions of no weight at all.
        double doubt = (double) k / tokens;
        float[] diagonal = damped(math.diagonal(gram), options.damping() + doubt, Math.max(0, doubt - 1));
        Matrix damped = math.withDiagonal(gram, diagonal);
        int[] order = options.has(Part.ACTIVATION_ORDER) ? descending(diagonal) : null;
        return new Steps(k, damped, options.has(Part.GPTQ) ? triangle(damped, order) : null, order);
    }

    private Matrix triangle(Matrix damped, int[] order) {
        if (order == null) {
            return math.inverseCholesky(damped, 0);
        }
        try (Matrix permuted = math.permuted(damped, order)) {
            return math.inverseCholesky(permuted, 0);
        }
    }

    private CodeTable chooseTable(List<Matrix> matrices, Steps steps) {
        if (!options.has(Part.NORMAL_LEVELS)) {
            return CodeTable.INTEGERS;
        }
        CodeTable best = CodeTable.INTEGERS;
        double bestError = Double.POSITIVE_INFINITY;
        for (CodeTable table : CodeTable.values()) {
            double error = 0;
            for (Matrix matrix : matrices) {
                try (Matrix sample = math.everyRow(matrix, ROW_STEP);
                        WeightRounding rounding = steps.run(sample, table)) {
                    error += steps.gram == null
                            ? rounding.squaredError()
                            : rounding.outputError(steps.gram);
                }
            }
            if (error < bestError) {
                bestError = error;
                best = table;
            }
        }
        return best;
    }

    private double energy(Matrix matrix, Matrix gram) {
        try (Matrix product = math.zeros(matrix.rows(), matrix.columns())) {
            math.addProduct(matrix, gram, product);
            return math.dot(matrix, product);
        }
    }

    /**
     * @param relative added to each element of the diagonal, relative to it
     * @param even     added to all alike, relative to their mean: fewer tokens than channels do not tell how large each
     *                 channel is, and one that happens to be small in them must not count for nothing
     */
    private static float[] damped(float[] diagonal, double relative, double even) {
        int k = diagonal.length;
        double mean = 0;
        for (float value : diagonal) {
            mean += value / k;
        }
        double floor = mean > 0 ? (1e-6 + even) * mean : 1; // a dead channel must not make H singular
        float[] damped = new float[k];
        for (int i = 0; i < k; i++) {
            damped[i] = (float) (diagonal[i] * (1 + relative) + floor);
        }
        return damped;
    }

    /** Groups by the sum of their diagonal, and the columns within each by theirs, largest first. */
    private int[] descending(float[] diagonal) {
        int k = diagonal.length;
        int groupSize = options.groupSizeFor(k);
        double[] sums = new double[k / groupSize];
        for (int j = 0; j < k; j++) {
            sums[j / groupSize] += diagonal[j];
        }
        return IntStream.range(0, k).boxed()
                .sorted(Comparator.comparingDouble((Integer j) -> -sums[j / groupSize])
                        .thenComparingInt(j -> j / groupSize)
                        .thenComparingDouble(j -> -diagonal[j]))
                .mapToInt(Integer::intValue).toArray();
    }

    /** What rounding for one input needs: H and, for GPTQ, the triangle of its inverse. */
    final class Steps implements AutoCloseable {
        private final int k;
        private final Matrix gram;
        private final Matrix triangle;
        private final int[] order;

        private Steps(int k, Matrix gram, Matrix triangle, int[] order) {
            this.k = k;
            this.gram = gram;
            this.triangle = triangle;
            this.order = order;
        }

        /** The same for the input divided by {@code scales}: no new factorization is needed. */
        private Steps scaled(double[] scales) {
            return new Steps(k, math.overPairs(gram, scales),
                    triangle == null ? null : math.timesColumns(triangle, inOrder(scales)), order);
        }

        private double[] inOrder(double[] scales) {
            return order == null ? scales : IntStream.of(order).mapToDouble(j -> scales[j]).toArray();
        }

        private WeightRounding run(Matrix weights, CodeTable table) {
            WeightRounding rounding = math.rounding(weights, options.groupSizeFor(k), table.levels());
            if (triangle != null) {
                rounding.roundWithFeedback(triangle, order);
            } else {
                rounding.round(gram == null ? null : math.diagonal(gram));
            }
            return rounding;
        }

        @Override
        public void close() {
            Matrix.closeAll(Arrays.asList(gram, triangle));
        }
    }
}
