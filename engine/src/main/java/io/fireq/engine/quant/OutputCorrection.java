package io.fireq.engine.quant;

import java.util.ArrayList;
import java.util.List;

/**
 * Moves a layer's weights so that, fed with the quantized model's activations, it puts out what the unquantized model has
 * at this point: the errors of everything in front of it are made good as far as they are a linear function of its
 * input.
 *
 * <pre>{@code W' = W + (C − W·H) · (H + λ·diag H)⁻¹,   C = Σ target·xᵀ,   H = Σ xxᵀ }</pre>
 *
 * The pull towards W, λ, is the one under which the held out tokens come out best; where none beats W itself, W stays.
 */
final class OutputCorrection {
    private static final double[] PULLS = {0.03, 0.1, 0.3, 1, 3};
    /** Every so many-th row judges for all. */
    private static final int ROW_STEP = 8;

    private final MatrixMath math;

    OutputCorrection(MatrixMath math) {
        this.math = math;
    }

    /**
     * The reference of a layer's moments.
     */
    enum Reference {
        /** The unquantized model's input: the target is what W makes of it. */
        INPUT,
        /** The target itself. */
        OUTPUT
    }

    /**
     * Corrects all matrices that take an input, in place.
     *
     * @param matrices each {@code [n, k]}
     * @param moments  with a reference; all tokens count in the end
     * @return λ; infinite where the matrices stay as they are
     */
    double correct(List<Matrix> matrices, Moments moments, Reference reference) {
        if (!moments.hasHeldOut()) {
            return Double.POSITIVE_INFINITY;
        }
        double pull = bestPull(matrices, moments, reference);
        if (pull == Double.POSITIVE_INFINITY) {
            return pull;
        }
        Moments.Part all = moments.joined();
        try (Matrix triangle = math.inverseCholesky(all.gram(), pull)) {
            int row = 0;
            for (Matrix weights : matrices) {
                try (Matrix missing = missing(weights, all, reference, row, 1);
                        Matrix step = math.timesInverse(missing, triangle)) {
                    math.add(weights, step);
                }
                row += weights.rows();
            }
        }
        return pull;
    }

    private double bestPull(List<Matrix> matrices, Moments moments, Reference reference) {
        Moments.Part fitted = moments.fitted();
        Moments.Part heldOut = moments.heldOut();
        List<Matrix> wanted = new ArrayList<>();
        List<Matrix> judged = new ArrayList<>();
        try {
            int row = 0;
            for (Matrix weights : matrices) {
                try (Matrix sample = math.everyRow(weights, ROW_STEP)) {
                    wanted.add(missing(sample, fitted, reference, row, ROW_STEP));
                    judged.add(missing(sample, heldOut, reference, row, ROW_STEP));
                }
                row += weights.rows();
            }
            double best = Double.POSITIVE_INFINITY;
            double bestGain = 0;
            for (double pull : PULLS) {
                double gain = 0;
                try (Matrix triangle = math.inverseCholesky(fitted.gram(), pull)) {
                    for (int i = 0; i < wanted.size(); i++) {
                        try (Matrix step = math.timesInverse(wanted.get(i), triangle)) {
                            gain += gain(step, judged.get(i), heldOut.gram());
                        }
                    }
                }
                if (gain > bestGain) {
                    bestGain = gain;
                    best = pull;
                }
            }
            return best;
        } finally {
            Matrix.closeAll(wanted);
            Matrix.closeAll(judged);
        }
    }

    /** By how much a step lessens the squared error: {@code 2·step·missingᵀ − step·H·stepᵀ}. */
    private double gain(Matrix step, Matrix missing, Matrix gram) {
        try (Matrix product = math.zeros(step.rows(), step.columns())) {
            math.addProduct(step, gram, product);
            return math.gain(step, missing, product);
        }
    }

    /**
     * What the outputs lack: {@code C − W·H}, where C is made from the inputs or given.
     *
     * @param weights  every {@code rowStep}-th row of a matrix
     * @param firstRow of that matrix in a given C
     */
    private Matrix missing(Matrix weights, Moments.Part part, Reference reference, int firstRow, int rowStep) {
        Matrix missing = reference == Reference.INPUT
                ? math.zeros(weights.rows(), weights.columns())
                : given(part.cross(), firstRow, weights.rows(), rowStep);
        if (reference == Reference.INPUT) {
            math.addProduct(weights, part.cross(), missing);
        }
        math.subtractProduct(weights, part.gram(), missing);
        return missing;
    }

    /** A reference that has a row per output belongs to a layer of one matrix, so sampling starts at its row. */
    private Matrix given(Matrix cross, int firstRow, int count, int rowStep) {
        int last = firstRow + (count - 1) * rowStep;
        try (Matrix rows = math.rows(cross, firstRow, last - firstRow + 1)) {
            return math.everyRow(rows, rowStep);
        }
    }
}
