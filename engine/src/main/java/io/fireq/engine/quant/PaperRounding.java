package io.fireq.engine.quant;

import io.fireq.engine.tensor.Bf16;
import io.fireq.engine.tensor.Chunks;
import io.fireq.engine.tensor.E4m3;
import io.fireq.engine.tensor.E4m3Matrix;
import io.fireq.engine.tensor.Int4Matrix;
import java.nio.ByteBuffer;

/**
 * Round-to-nearest as the paper's published code computes it. Half-way cases go to the even code, in -8..7.
 *
 * <p>σ_FP8, {@link #quantize}: e4m3 group scales and one power-of-two multiplier per tensor. The multiplier f = 2^i,
 * i = 0..14, is the one that leaves the least scale below e4m3's smallest value: over all groups with
 * {@code f · absmax < t}, {@code t = 7 · 2⁻⁹}, the sum of {@code (t − f·absmax) / t} is smallest; the first f that lifts a
 * group above 448 ends the search, and ties go to the smaller f. Then {@code σ = e4m3(absmax/7)} and
 * {@code q = round_even(f·w/σ)}, with the already rounded σ.
 *
 * <p>σ_BF16, {@link #quantizeWithBf16Scales}: bfloat16 group scales; the decoded weights are rounded once more, to e4m3
 * with one bfloat16 scale per row. That is all a checkpoint can hold of it, so it holds these e4m3 weights.
 */
final class PaperRounding {
    private static final int MAX_EXPONENT = 14;
    private static final float SMALLEST_ABSMAX = 7 * E4m3.MIN_SUBNORMAL;
    private static final int ROWS_AT_ONCE = 16;

    private final MatrixMath threads;

    PaperRounding(MatrixMath threads) {
        this.threads = threads;
    }

    /** @param weights {@code [n, k]}; not changed */
    Int4Matrix quantize(String name, float[] weights, int n, int k, int groupSize) {
        int groups = k / groupSize;
        float[] absmax = new float[n * groups];
        threads.parallelFor(n, ROWS_AT_ONCE, (low, high) -> {
            for (int i = low * k; i < high * k; i++) {
                int group = i / groupSize;
                absmax[group] = Math.max(absmax[group], Math.abs(clamped(weights[i])));
            }
        });
        float multiplier = multiplier(absmax);

        Int4Packer packer = new Int4Packer(n, k, groupSize);
        threads.parallelFor(n, ROWS_AT_ONCE, (low, high) -> {
            for (int row = low; row < high; row++) {
                packer.rowScale(row, 1 / multiplier);
                for (int group = 0; group < groups; group++) {
                    float scale = E4m3.round(Math.max(multiplier * absmax[row * groups + group], 1e-5f) / 7);
                    scale = Math.max(scale, E4m3.MIN_SUBNORMAL);
                    packer.groupScale(row, group, scale);
                    for (int column = group * groupSize; column < (group + 1) * groupSize; column++) {
                        packer.code(row, column, code(multiplier * clamped(weights[row * k + column]) / scale));
                    }
                }
            }
        });
        return packer.build(name, Int4Matrix.integers());
    }

    /** The published code clamps at the upper end only. */
    private static float clamped(float weight) {
        return Math.min(weight, E4m3.MAX);
    }

    private static int code(float x) {
        return (int) Math.max(-8, Math.min(7, Math.rint(x)));
    }

    static float multiplier(float[] absmax) {
        double[] slacks = new double[MAX_EXPONENT + 1];
        Chunks.forEach(slacks.length, 1, (begin, end) -> {
            for (int i = begin; i < end; i++) {
                slacks[i] = slack(absmax, 1 << i);
            }
        });
        float best = 1;
        double bestSlack = Double.POSITIVE_INFINITY;
        for (int i = 0; i <= MAX_EXPONENT && !Double.isNaN(slacks[i]); i++) {
            if (slacks[i] < bestSlack) {
                bestSlack = slacks[i];
                best = 1 << i;
            }
        }
        return best;
    }

    /** What a multiplier leaves below e4m3's smallest value; NaN if it lifts a group above the largest. */
    private static double slack(float[] absmax, float multiplier) {
        double slack = 0;
        for (float a : absmax) {
            float scaled = multiplier * a;
            if (scaled > E4m3.MAX) {
                return Double.NaN;
            }
            slack += Math.max(0, (SMALLEST_ABSMAX - scaled) / SMALLEST_ABSMAX);
        }
        return slack;
    }

    /** @param weights {@code [n, k]}; not changed */
    E4m3Matrix quantizeWithBf16Scales(String name, float[] weights, int n, int k, int groupSize) {
        byte[] codes = new byte[n * k];
        float[] rowScale = new float[n];
        threads.parallelFor(n, ROWS_AT_ONCE, (low, high) -> {
            float[] decoded = new float[k];
            for (int row = low; row < high; row++) {
                float largest = 0;
                for (int from = 0; from < k; from += groupSize) {
                    decodeGroup(weights, row * k + from, groupSize, decoded, from);
                    for (int j = from; j < from + groupSize; j++) {
                        largest = Math.max(largest, Math.abs(decoded[j]));
                    }
                }
                rowScale[row] = largest == 0 ? 1 : Bf16.round(largest / E4m3.MAX);
                for (int j = 0; j < k; j++) {
                    codes[row * k + j] = E4m3.encode(decoded[j] / rowScale[row]);
                }
            }
        });
        return new E4m3Matrix(name, n, k, ByteBuffer.wrap(codes), rowScale);
    }

    private static void decodeGroup(float[] weights, int at, int groupSize, float[] decoded, int to) {
        float absmax = 1e-5f;
        for (int j = 0; j < groupSize; j++) {
            absmax = Math.max(absmax, Math.abs(weights[at + j]));
        }
        float scale = Bf16.round(absmax / 7);
        for (int j = 0; j < groupSize; j++) {
            decoded[to + j] = Bf16.round(code(weights[at + j] / scale) * scale);
        }
    }
}
