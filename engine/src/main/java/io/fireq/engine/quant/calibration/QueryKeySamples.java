package io.fireq.engine.quant.calibration;

import io.fireq.engine.model.ModelConfig;
import io.fireq.engine.quant.smoothing.Hadamard;
import io.fireq.engine.tensor.Chunks;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** Rotated K of some tokens, and the second moments of the Q that meet it: what a rounding of K costs. */
public final class QueryKeySamples {
    private final ModelConfig config;
    private final List<float[]> keys = new ArrayList<>();
    /** {@code [nKvHeads][headDim, headDim]}: Σ qqᵀ over tokens and the query heads of a group. */
    private final double[][] queryMoments;

    QueryKeySamples(ModelConfig config) {
        this.config = config;
        queryMoments = new double[config.nKvHeads()][config.headDim() * config.headDim()];
    }

    /** Adds the tokens 0, step, 2 step, … of rotated {@code qkv [nTokens, stride]}. */
    void add(float[] qkv, int stride, int step, int nTokens) {
        int headDim = config.headDim();
        int querySize = config.nHeads() * headDim;
        for (int t = 0; t < nTokens; t += step) {
            float[] key = new float[config.nKvHeads() * headDim];
            System.arraycopy(qkv, t * stride + querySize, key, 0, key.length);
            keys.add(key);
        }
        int queriesPerHead = config.nHeads() / config.nKvHeads();
        Chunks.forEach(config.nKvHeads(), 1, (begin, end) -> { // sums are in the order of tokens and heads
            for (int t = 0; t < nTokens; t += step) {
                for (int head = begin * queriesPerHead; head < end * queriesPerHead; head++) {
                    addMoments(qkv, t * stride + head * headDim, queryMoments[head / queriesPerHead]);
                }
            }
        });
    }

    private void addMoments(float[] qkv, int at, double[] moments) {
        int headDim = config.headDim();
        for (int i = 0; i < headDim; i++) {
            for (int j = 0; j < headDim; j++) {
                moments[i * headDim + j] += (double) qkv[at + i] * qkv[at + j];
            }
        }
    }

    /**
     * The mean squared error of the scores, summed over heads, if K is stored in 4 bits, asymmetric, after this smoothing.
     *
     * @param keySmooth     {@code [nKvHeads · headDim]}
     * @param hadamardBlock 0 for none
     * @param groupSize     channels that share scale and zero
     */
    public double scoreError(double[] keySmooth, int hadamardBlock, int groupSize) {
        double[] totals = new double[keys.size()];
        Chunks.forEach(totals.length, 4, (begin, end) -> {
            for (int i = begin; i < end; i++) {
                totals[i] = scoreError(keys.get(i), keySmooth, hadamardBlock, groupSize);
            }
        });
        return Arrays.stream(totals).sum() / Math.max(1, (double) keys.size() * keys.size());
    }

    private double scoreError(float[] key, double[] keySmooth, int hadamardBlock, int groupSize) {
        int headDim = config.headDim();
        double total = 0;
        double[] x = new double[headDim];
        double[] error = new double[headDim];
        for (int head = 0; head < config.nKvHeads(); head++) {
            for (int c = 0; c < headDim; c++) {
                x[c] = key[head * headDim + c] * keySmooth[head * headDim + c];
            }
            mix(x, hadamardBlock);
            for (int group = 0; group < headDim; group += groupSize) {
                roundingErrors(x, group, groupSize, error);
            }
            mix(error, hadamardBlock); // orthonormal and symmetric: its own inverse
            for (int c = 0; c < headDim; c++) {
                error[c] /= keySmooth[head * headDim + c];
            }
            double[] moments = queryMoments[head];
            for (int i = 0; i < headDim; i++) {
                for (int j = 0; j < headDim; j++) {
                    total += error[i] * error[j] * moments[i * headDim + j];
                }
            }
        }
        return total;
    }

    private static void mix(double[] x, int block) {
        if (block > 0) {
            Hadamard.apply(x, block);
        }
    }

    /** What storing x as the cache does, asymmetric, adds to it: see {@link io.fireq.engine.backend.KvFormat}. */
    private static void roundingErrors(double[] x, int from, int count, double[] error) {
        double min = 0;
        double max = 0;
        for (int c = from; c < from + count; c++) {
            min = Math.min(min, x[c]);
            max = Math.max(max, x[c]);
        }
        double scale = max > min ? (max - min) / 15.5 : 1;
        double zero = code(7.5 - (max + min) / (2 * scale));
        for (int c = from; c < from + count; c++) {
            error[c] = scale * (code(Math.rint(x[c] / scale) + zero) - zero) - x[c];
        }
    }

    private static double code(double x) {
        return Math.max(0, Math.min(15, Math.rint(x)));
    }
}
