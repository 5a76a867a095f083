package io.fireq.engine.quant;

import io.fireq.engine.tensor.Int4Matrix;
import java.util.ArrayList;
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
    List<Rounded> round(List<String> names, float[][] matrices, int k, Moments moments) {
        Steps steps = moments == null || moments.tokens() == 0
                ? new Steps(k, null, null, null)
                : steps(k, moments.joined().gram(), moments.tokens());
        // One table for all: a backend stacks them into one weight.
        CodeTable table = chooseTable(matrices, k, steps);
        List<Rounded> rounded = new ArrayList<>();
        for (int i = 0; i < matrices.length; i++) {
            WeightRounding rounding = steps.run(matrices[i], table);
            if (steps.gram != null && options.has(Part.REFINEMENT)) {
                for (int sweep = 0; sweep < SWEEPS; sweep++) {
                    rounding.refine(steps.gram);
                    rounding.fitRowScales(steps.gram);
                }
            }
            Int4Matrix matrix = rounding.toMatrix(names.get(i));
            double output = steps.gram == null
                    ? Double.NaN
                    : Sqnr.decibels(energy(matrices[i], k, steps.gram), rounding.outputError(steps.gram));
            rounded.add(new Rounded(matrix, table, Sqnr.decibels(Sqnr.energy(matrices[i]), rounding.squaredError()), output, rounding.clipShare()));
        }
        return rounded;
    }

    /** What plain rounding, with scales searched but no calibration, leaves of a matrix; by every eighth row. */
    double plainSqnrDb(float[] matrix, int k) {
        float[] sample = OutputCorrection.everyRow(matrix, k, ROW_STEP);
        WeightRounding plain = new WeightRounding(math, sample, sample.length / k, k, options.groupSizeFor(k),
                CodeTable.INTEGERS.levels());
        plain.round(null);
        return Sqnr.decibels(Sqnr.energy(sample), plain.squaredError());
    }

    /**
     * The error of the outputs under column scales, if only every eighth row were rounded and that quickly.
     *
     * @param scales what column j of the matrices is multiplied by, and its input divided by
     * @param base   steps for the unscaled input
     */
    double quickError(float[][] matrices, int k, double[] scales, Steps base) {
        Steps scaled = base.scaled(scales);
        double error = 0;
        for (float[] matrix : matrices) {
            float[] sample = OutputCorrection.everyRow(matrix, k, ROW_STEP);
            for (int i = 0; i < sample.length; i++) {
                sample[i] = (float) (sample[i] * scales[i % k]);
            }
            error += scaled.run(sample, CodeTable.NORMAL).outputError(scaled.gram);
        }
        return error;
    }

    /**
     * Prepares the rounding for an input.
     *
     * @param gram   H, {@code [k, k]}, both triangles
     * @param tokens that H is a sum over
     */
    Steps steps(int k, float[] gram, long tokens) {
        // Few tokens say little about how channels go together: with fewer than k, H has directions of no weight at all.
        double doubt = (double) k / tokens;
        float[] damped = damped(gram, k, options.damping() + doubt, Math.max(0, doubt - 1));
        int[] order = options.has(Part.ACTIVATION_ORDER) ? descending(damped, k) : null;
        float[] triangle = options.has(Part.GPTQ)
                ? math.inverseCholesky(order == null ? damped : permuted(damped, k, order), k, 0)
                : null;
        return new Steps(k, damped, triangle, order);
    }

    private CodeTable chooseTable(float[][] matrices, int k, Steps steps) {
        if (!options.has(Part.NORMAL_LEVELS)) {
            return CodeTable.INTEGERS;
        }
        CodeTable best = CodeTable.INTEGERS;
        double bestError = Double.POSITIVE_INFINITY;
        for (CodeTable table : CodeTable.values()) {
            double error = 0;
            for (float[] matrix : matrices) {
                float[] sample = OutputCorrection.everyRow(matrix, k, ROW_STEP);
                WeightRounding rounding = steps.run(sample, table);
                error += steps.gram == null
                        ? rounding.squaredError()
                        : rounding.outputError(steps.gram);
            }
            if (error < bestError) {
                bestError = error;
                best = table;
            }
        }
        return best;
    }

    private double energy(float[] matrix, int k, float[] gram) {
        int n = matrix.length / k;
        float[] product = new float[matrix.length];
        math.addProduct(matrix, 0, k, n, gram, 0, k, k, k, product, 0, k);
        double energy = 0;
        for (int i = 0; i < matrix.length; i++) {
            energy += (double) matrix[i] * product[i];
        }
        return energy;
    }

    /**
     * @param relative added to each element of the diagonal, relative to it
     * @param even     added to all alike, relative to their mean: fewer tokens than channels do not tell how large each
     *                 channel is, and one that happens to be small in them must not count for nothing
     */
    private static float[] damped(float[] gram, int k, double relative, double even) {
        float[] damped = gram.clone();
        double mean = 0;
        for (int i = 0; i < k; i++) {
            mean += gram[i * k + i] / k;
        }
        double floor = mean > 0 ? (1e-6 + even) * mean : 1; // a dead channel must not make H singular
        for (int i = 0; i < k; i++) {
            damped[i * k + i] = (float) (gram[i * k + i] * (1 + relative) + floor);
        }
        return damped;
    }

    /** Groups by the sum of their diagonal, and the columns within each by theirs, largest first. */
    private int[] descending(float[] gram, int k) {
        int groupSize = options.groupSizeFor(k);
        double[] sums = new double[k / groupSize];
        for (int j = 0; j < k; j++) {
            sums[j / groupSize] += gram[j * k + j];
        }
        return IntStream.range(0, k).boxed()
                .sorted(Comparator.comparingDouble((Integer j) -> -sums[j / groupSize])
                        .thenComparingInt(j -> j / groupSize)
                        .thenComparingDouble(j -> -gram[j * k + j]))
                .mapToInt(Integer::intValue).toArray();
    }

    private static float[] permuted(float[] gram, int k, int[] order) {
        float[] permuted = new float[gram.length];
        for (int i = 0; i < k; i++) {
            for (int j = 0; j < k; j++) {
                permuted[i * k + j] = gram[order[i] * k + order[j]];
            }
        }
        return permuted;
    }

    /** What rounding for one input needs: H and, for GPTQ, the triangle of its inverse. */
    final class Steps {
        private final int k;
        private final float[] gram;
        private final float[] triangle;
        private final int[] order;

        private Steps(int k, float[] gram, float[] triangle, int[] order) {
            this.k = k;
            this.gram = gram;
            this.triangle = triangle;
            this.order = order;
        }

        /** The same for the input divided by {@code scales}: no new factorization is needed. */
        private Steps scaled(double[] scales) {
            float[] scaledGram = new float[gram.length];
            float[] scaledTriangle = triangle == null ? null : new float[triangle.length];
            for (int i = 0; i < k; i++) {
                for (int j = 0; j < k; j++) {
                    scaledGram[i * k + j] = (float) (gram[i * k + j] / (scales[i] * scales[j]));
                    if (triangle != null) {
                        scaledTriangle[i * k + j] =
                                (float) (triangle[i * k + j] * scales[order == null ? j : order[j]]);
                    }
                }
            }
            return new Steps(k, scaledGram, scaledTriangle, order);
        }

        private WeightRounding run(float[] weights, CodeTable table) {
            WeightRounding rounding = new WeightRounding(math, weights, weights.length / k, k, options.groupSizeFor(k),
                    table.levels());
            if (triangle != null) {
                rounding.roundWithFeedback(triangle, order);
            } else {
                rounding.round(gram == null ? null : diagonal());
            }
            return rounding;
        }

        private float[] diagonal() {
            float[] diagonal = new float[k];
            for (int i = 0; i < k; i++) {
                diagonal[i] = gram[i * k + i];
            }
            return diagonal;
        }
    }
}
