package io.fireq.engine.quant;

import io.fireq.engine.tensor.Int4Matrix;

/**
 * A matrix {@code [n, k]} on its way to INT4 with a known second moment H of its inputs: what counts is the error of
 * the outputs, {@code tr (W − Q) H (W − Q)ᵀ}.
 *
 * <p>The steps, each optional but the first: {@link #roundWithFeedback} (GPTQ) or {@link #round}, {@link #refine},
 * {@link #fitRowScales}.
 */
interface WeightRounding extends AutoCloseable {
    /** The row's largest σ, so that 8σ stays within e4m3 and small groups stay clear of its subnormals. */
    float LARGEST_SCALE = 56;

    /** What a row with this largest magnitude is divided by before it is rounded. */
    static float rowScale(float absmax) {
        float scale = absmax / (7 * LARGEST_SCALE);
        return scale > 0 && !Float.isInfinite(1 / scale) ? scale : 1;
    }

    /**
     * Rounds group by group, in the order of the columns. The error of each column is put right in the columns behind it
     * as well as they can (GPTQ), before their group's σ is chosen.
     *
     * @param triangle upper triangular U with {@code UᵀU = H⁻¹} ({@link MatrixMath#inverseCholesky}), its columns in
     *                 {@code order}
     * @param order    permutation of the columns that keeps groups together: column {@code order[j]} is j-th; null for as
     *                 they are
     */
    void roundWithFeedback(Matrix triangle, int[] order);

    /** Rounds each weight by itself; σ for the least error weighted by {@code importance [k]}, or plain if it is null. */
    void round(float[] importance);

    /**
     * Sweeps over all codes and lets each take the value that is best given all others: coordinate descent on the error
     * of the outputs.
     *
     * @param gram H, {@code [k, k]}, both triangles, a positive diagonal
     */
    void refine(Matrix gram);

    /** Gives each row the scale with the least error of its output: {@code wHq / qHq}. */
    void fitRowScales(Matrix gram);

    /** {@code tr (W − Q) H (W − Q)ᵀ}, in the units of the weights. */
    double outputError(Matrix gram);

    /** Σ (w − q)², in the units of the weights. */
    double squaredError();

    /** Share of the weights that lie outside of what their group can represent. */
    double clipShare();

    Int4Matrix toMatrix(String name);

    @Override
    void close();
}
