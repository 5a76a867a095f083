package io.fireq.engine.quant;

import io.fireq.engine.tensor.E4m3;
import io.fireq.engine.tensor.Int4Matrix;

/**
 * Round-to-nearest with e4m3 group scales and one power-of-two multiplier per tensor: the paper's σ_FP8 variant as its
 * published code computes it.
 *
 * <p>The multiplier f = 2^i, i = 0..14, is the one that leaves the least scale below e4m3's smallest value: over all
 * groups with {@code f · absmax < t}, {@code t = 7 · 2⁻⁹}, the sum of {@code (t − f·absmax) / t} is smallest; the first
 * f that lifts a group above 448 ends the search, and ties go to the smaller f. Then {@code σ = e4m3(absmax/7)} and
 * {@code q = round_even(f·w/σ)} in −8..7, with the already rounded σ.
 */
final class PaperRounding implements WeightQuantizer {
    private static final int MAX_EXPONENT = 14;
    private static final float SMALLEST_ABSMAX = 7 * E4m3.MIN_SUBNORMAL;

    @Override
    public Int4Matrix quantize(String name, float[] weights, int n, int k, int groupSize) {
        int groups = k / groupSize;
        float[] absmax = new float[n * groups];
        for (int i = 0; i < n * k; i++) {
            weights[i] = Math.min(weights[i], E4m3.MAX);
            int group = i / groupSize;
            absmax[group] = Math.max(absmax[group], Math.abs(weights[i]));
        }
        float multiplier = multiplier(absmax);

        Int4Packer packer = new Int4Packer(n, k, groupSize);
        for (int row = 0; row < n; row++) {
            packer.rowScale(row, 1 / multiplier);
            for (int group = 0; group < groups; group++) {
                float scale = E4m3.round(Math.max(multiplier * absmax[row * groups + group], 1e-5f) / 7);
                scale = Math.max(scale, E4m3.MIN_SUBNORMAL);
                packer.groupScale(row, group, scale);
                for (int column = group * groupSize; column < (group + 1) * groupSize; column++) {
                    double code = Math.rint(multiplier * weights[row * k + column] / scale);
                    packer.code(row, column, (int) Math.max(-8, Math.min(7, code)));
                }
            }
        }
        return packer.build(name, Int4Matrix.integers());
    }

    static float multiplier(float[] absmax) {
        float best = 1;
        double bestSlack = Double.POSITIVE_INFINITY;
        for (int i = 0; i <= MAX_EXPONENT; i++) {
            float multiplier = 1 << i;
            double slack = 0;
            for (float a : absmax) {
                float scaled = multiplier * a;
                if (scaled > E4m3.MAX) {
                    return best;
                }
                slack += Math.max(0, (SMALLEST_ABSMAX - scaled) / SMALLEST_ABSMAX);
            }
            if (slack < bestSlack) {
                bestSlack = slack;
                best = multiplier;
            }
        }
        return best;
    }
}
