package io.fireq.engine.quant;

import java.util.Arrays;

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
     * @param weights of all matrices that take this input
     * @param pull    λ; infinite for none
     */
    record Corrected(float[][] weights, double pull) {}

    /**
     * @param matrices each {@code [n, k]}; not changed
     * @param moments  with a reference; all tokens count in the end
     */
    Corrected correct(float[][] matrices, Moments moments, Reference reference) {
        if (!moments.hasHeldOut()) {
            return new Corrected(matrices, Double.POSITIVE_INFINITY);
        }
        double pull = bestPull(matrices, moments, reference);
        if (pull == Double.POSITIVE_INFINITY) {
            return new Corrected(matrices, pull);
        }
        int k = moments.k();
        Moments.Part all = moments.joined();
        float[] triangle = math.inverseCholesky(all.gram(), k, pull);
        float[] transposed = transpose(triangle, k);
        float[][] corrected = new float[matrices.length][];
        int row = 0;
        for (int i = 0; i < matrices.length; i++) {
            int n = matrices[i].length / k;
            float[] step = step(missing(matrices[i], n, k, all, reference, row), n, k, triangle, transposed);
            for (int j = 0; j < step.length; j++) {
                step[j] += matrices[i][j];
            }
            corrected[i] = step;
            row += n;
        }
        return new Corrected(corrected, pull);
    }

    private double bestPull(float[][] matrices, Moments moments, Reference reference) {
        int k = moments.k();
        Moments.Part fitted = moments.fitted();
        Moments.Part heldOut = moments.heldOut();
        float[][] samples = new float[matrices.length][];
        float[][] wanted = new float[matrices.length][];
        float[][] judged = new float[matrices.length][];
        int row = 0;
        for (int i = 0; i < matrices.length; i++) {
            int n = matrices[i].length / k;
            samples[i] = everyRow(matrices[i], k, ROW_STEP);
            int sampleRows = samples[i].length / k;
            wanted[i] = missing(samples[i], sampleRows, k, sampled(fitted, k, row, n, reference), reference, 0);
            judged[i] = missing(samples[i], sampleRows, k, sampled(heldOut, k, row, n, reference), reference, 0);
            row += n;
        }
        double best = Double.POSITIVE_INFINITY;
        double bestGain = 0;
        for (double pull : PULLS) {
            float[] triangle = math.inverseCholesky(fitted.gram(), k, pull);
            float[] transposed = transpose(triangle, k);
            double gain = 0;
            for (int i = 0; i < matrices.length; i++) {
                int n = samples[i].length / k;
                gain += gain(step(wanted[i], n, k, triangle, transposed), n, k, judged[i], heldOut.gram());
            }
            if (gain > bestGain) {
                bestGain = gain;
                best = pull;
            }
        }
        return best;
    }

    /** By how much a step lessens the squared error: {@code 2·step·missingᵀ − step·H·stepᵀ}. */
    private double gain(float[] step, int n, int k, float[] missing, float[] gram) {
        float[] product = new float[n * k];
        math.addProduct(step, 0, k, n, gram, 0, k, k, k, product, 0, k);
        double gain = 0;
        for (int i = 0; i < step.length; i++) {
            gain += (double) step[i] * (2.0 * missing[i] - product[i]);
        }
        return gain;
    }

    /** What the outputs lack: {@code C − W·H}, where C is made from the inputs or given. */
    private float[] missing(float[] weights, int n, int k, Moments.Part part, Reference reference, int firstRow) {
        float[] missing = new float[n * k];
        if (reference == Reference.INPUT) {
            math.addProduct(weights, 0, k, n, part.cross(), 0, k, k, k, missing, 0, k);
        } else {
            System.arraycopy(part.cross(), firstRow * k, missing, 0, n * k);
        }
        float[] negative = new float[weights.length];
        for (int i = 0; i < negative.length; i++) {
            negative[i] = -weights[i];
        }
        math.addProduct(negative, 0, k, n, part.gram(), 0, k, k, k, missing, 0, k);
        return missing;
    }

    /** {@code missing · (H + damping)⁻¹ = missing · Uᵀ · U}. */
    private float[] step(float[] missing, int n, int k, float[] triangle, float[] transposed) {
        float[] half = new float[n * k];
        math.addProduct(missing, 0, k, n, transposed, 0, k, k, k, half, 0, k);
        float[] step = new float[n * k];
        math.addProduct(half, 0, k, n, triangle, 0, k, k, k, step, 0, k);
        return step;
    }

    /** The part with only the sampled rows of a reference that has a row per output. */
    private static Moments.Part sampled(Moments.Part part, int k, int firstRow, int n, Reference reference) {
        if (reference == Reference.INPUT) {
            return part;
        }
        float[] rows = Arrays.copyOfRange(part.cross(), firstRow * k, (firstRow + n) * k);
        return new Moments.Part(part.gram(), everyRow(rows, k, ROW_STEP));
    }

    /** Rows 0, step, 2 step, … of {@code [n, k]}. */
    static float[] everyRow(float[] w, int k, int step) {
        int n = (w.length / k + step - 1) / step;
        float[] rows = new float[n * k];
        for (int i = 0; i < n; i++) {
            System.arraycopy(w, i * step * k, rows, i * k, k);
        }
        return rows;
    }

    private static float[] transpose(float[] a, int k) {
        float[] transposed = new float[a.length];
        for (int i = 0; i < k; i++) {
            for (int j = 0; j < k; j++) {
                transposed[j * k + i] = a[i * k + j];
            }
        }
        return transposed;
    }
}
