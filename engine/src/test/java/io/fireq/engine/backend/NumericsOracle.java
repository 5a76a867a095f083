package io.fireq.engine.backend;

import io.fireq.engine.tensor.E4m3Matrix;
import io.fireq.engine.tensor.FloatMatrix;
import io.fireq.engine.tensor.Int4Matrix;
import io.fireq.engine.tensor.WeightMatrix;
import java.util.List;

/**
 * {@code docs/numerics.md} once more, in double precision, naive and apart from the code it judges: it has its own
 * number formats and calls nothing but getters.
 */
final class NumericsOracle {
    private final boolean rounds;

    /** A row as {@code scale · values}. */
    record Quantized(double[] values, double scale) {}

    /** One head's K or V vector as {@code scale[g] · (codes - zero[g])}. */
    record KvVector(double[] codes, double[] scale, double[] zero) {}

    /**
     * @param rounds false for float32 mode, where every rounding is the identity
     */
    NumericsOracle(boolean rounds) {
        this.rounds = rounds;
    }

    // Formats.

    /** Rounds to {@code mantissaBits} and no exponent below {@code minExponent}; ties go to the even neighbour. */
    static double roundTo(double x, int mantissaBits, int minExponent) {
        if (x == 0 || !Double.isFinite(x)) {
            return x;
        }
        int exponent = Math.max(Math.getExponent(x), minExponent);
        double unit = Math.scalb(1.0, exponent - mantissaBits);
        return Math.rint(x / unit) * unit;
    }

    static double bf16(double x) {
        return roundTo((float) x, 7, -126);
    }

    static double f16(double x) {
        return roundTo(x, 10, -14);
    }

    static double e4m3(double x) {
        return Math.max(-448, Math.min(448, roundTo(x, 3, -6)));
    }

    /** The value of an e4m3 code. */
    static double e4m3Value(byte code) {
        int exponent = code >> 3 & 15;
        int mantissa = code & 7;
        double magnitude = exponent == 0 ? mantissa / 512.0 : (1 + mantissa / 8.0) * Math.pow(2, exponent - 7);
        return code < 0 ? -magnitude : magnitude;
    }

    private double store(double x) {
        return rounds ? bf16(x) : x;
    }

    // Operations.

    Quantized quantize(double[] x) {
        if (!rounds) {
            return new Quantized(x.clone(), 1);
        }
        double absMax = 0;
        for (double value : x) {
            absMax = Math.max(absMax, Math.abs(value));
        }
        float scale = absMax == 0 ? 1 : (float) (absMax / 448);
        float invScale = (float) (1.0 / scale);
        double[] values = new double[x.length];
        for (int i = 0; i < x.length; i++) {
            values[i] = e4m3((float) (x[i] * invScale));
        }
        return new Quantized(values, scale);
    }

    double[] embed(WeightMatrix table, int row) {
        double[] out = new double[table.k()];
        for (int column = 0; column < out.length; column++) {
            out[column] = store(rowScale(table, row) * stored(table, row, column));
        }
        return out;
    }

    static double[] rmsNorm(double[] x, float[] weight, float epsilon) {
        double squares = 0;
        for (double value : x) {
            squares += value * value;
        }
        double[] out = new double[x.length];
        for (int i = 0; i < x.length; i++) {
            out[i] = x[i] * weight[i] / Math.sqrt(squares / x.length + epsilon);
        }
        return out;
    }

    /** {@code y} of one token before the epilogue. */
    static double[] linear(Quantized x, List<? extends WeightMatrix> rowBlocks) {
        double[] y = new double[rowBlocks.stream().mapToInt(WeightMatrix::n).sum()];
        int at = 0;
        for (WeightMatrix w : rowBlocks) {
            for (int row = 0; row < w.n(); row++) {
                double sum = 0;
                for (int column = 0; column < w.k(); column++) {
                    sum += x.values[column] * stored(w, row, column);
                }
                y[at++] = x.scale * rowScale(w, row) * sum;
            }
        }
        return y;
    }

    double[] residualAdd(double[] y, double[] residual) {
        double[] out = new double[y.length];
        for (int i = 0; i < y.length; i++) {
            out[i] = store(residual[i] + y[i]);
        }
        return out;
    }

    double[] siluMul(double[] gateUp) {
        double[] out = new double[gateUp.length / 2];
        for (int i = 0; i < out.length; i++) {
            double gate = gateUp[i];
            out[i] = store(gate / (1 + Math.exp(-gate)) * gateUp[out.length + i]);
        }
        return out;
    }

    double[] none(double[] y) {
        double[] out = new double[y.length];
        for (int i = 0; i < y.length; i++) {
            out[i] = store(y[i]);
        }
        return out;
    }

    /** What the tensor core multiplies: w8. */
    private static double stored(WeightMatrix w, int row, int column) {
        if (w instanceof Int4Matrix int4) {
            float value = int4.values()[int4.code(row, column)];
            float scale = (float) e4m3Value(int4.scales().get(row * int4.groups() + column / int4.groupSize()));
            return e4m3(value * scale); // a float32 product: it can make a tie
        }
        if (w instanceof E4m3Matrix e4m3) {
            return e4m3Value(e4m3.codes().get(row * e4m3.k() + column));
        }
        return ((FloatMatrix) w).tensor().get(row * w.k() + column);
    }

    private static double rowScale(WeightMatrix w, int row) {
        if (w instanceof Int4Matrix int4) {
            return int4.rowScale()[row];
        }
        return w instanceof E4m3Matrix e4m3 ? e4m3.rowScale()[row] : 1;
    }

    /** One rotated head. */
    static double[] rope(double[] head, AttentionSpec spec, int position) {
        int half = spec.headDim() / 2;
        double[] out = new double[head.length];
        for (int i = 0; i < half; i++) {
            double cos = spec.cos()[position * half + i];
            double sin = spec.sin()[position * half + i];
            out[i] = head[i] * cos - head[i + half] * sin;
            out[i + half] = head[i + half] * cos + head[i] * sin;
        }
        return out;
    }

    /** Each block times the Hadamard matrix: entry (i, j) is −1 to the number of ones in {@code i & j}, over √block. */
    static double[] hadamard(double[] x, int block) {
        if (block == 0) {
            return x;
        }
        double[] out = new double[x.length];
        for (int i = 0; i < x.length; i++) {
            for (int j = 0; j < block; j++) {
                int sign = Integer.bitCount(i % block & j) % 2 == 0 ? 1 : -1;
                out[i] += sign * x[i / block * block + j] / Math.sqrt(block);
            }
        }
        return out;
    }

    static KvVector kv(double[] x, KvFormat format) {
        int groupSize = format.kind() == KvFormat.Kind.FLOAT32 ? x.length : format.groupSize();
        int groups = x.length / groupSize;
        KvVector out = new KvVector(new double[x.length], new double[groups], new double[groups]);
        for (int g = 0; g < groups; g++) {
            double min = 0;
            double max = 0;
            for (int c = g * groupSize; c < (g + 1) * groupSize; c++) {
                min = Math.min(min, x[c]);
                max = Math.max(max, x[c]);
            }
            switch (format.kind()) {
                case ASYMMETRIC -> {
                    out.scale[g] = f16((max - min) / 15.5);
                    out.scale[g] = out.scale[g] == 0 ? 1 : out.scale[g];
                    out.zero[g] = clamp(Math.rint(7.5 - (max + min) / (2 * out.scale[g])), 0, 15);
                }
                case SYMMETRIC -> {
                    double absMax = Math.max(Math.max(-min, max), 1e-5);
                    out.scale[g] = Math.max(e4m3(absMax / 7), 1 / 512.0);
                    out.zero[g] = 8;
                }
                case FLOAT32 -> out.scale[g] = 1;
                default -> throw new AssertionError(format);
            }
            for (int c = g * groupSize; c < (g + 1) * groupSize; c++) {
                out.codes[c] = switch (format.kind()) {
                    case ASYMMETRIC, SYMMETRIC ->
                        clamp(Math.rint(x[c] / out.scale[g]) + out.zero[g], 0, 15);
                    case FLOAT32 -> x[c];
                };
            }
        }
        return out;
    }

    private static double clamp(double x, double low, double high) {
        return Math.max(low, Math.min(high, x));
    }

    /** One query head over the cached tokens, oldest first. */
    double[] attention(Quantized q, List<KvVector> keys, List<KvVector> values) {
        int headDim = q.values.length;
        int nTokens = keys.size();
        double[] p = new double[nTokens];
        double max = Double.NEGATIVE_INFINITY;
        for (int t = 0; t < nTokens; t++) {
            KvVector key = keys.get(t);
            double sum = 0;
            for (int c = 0; c < headDim; c++) {
                int g = c / (headDim / key.scale.length);
                sum += q.values[c] * key.scale[g] * (key.codes[c] - key.zero[g]);
            }
            p[t] = q.scale / Math.sqrt(headDim) * sum;
            max = Math.max(max, p[t]);
        }
        double total = 0;
        for (int t = 0; t < nTokens; t++) {
            p[t] = Math.exp(p[t] - max);
            total += p[t];
        }
        double[] out = new double[headDim];
        int groupSize = headDim / values.get(0).scale.length;
        for (int g = 0; g < headDim / groupSize; g++) {
            double[] a = new double[nTokens];
            for (int t = 0; t < nTokens; t++) {
                a[t] = p[t] * values.get(t).scale[g];
            }
            Quantized a8 = quantize(a);
            for (int c = g * groupSize; c < (g + 1) * groupSize; c++) {
                double sum = 0;
                for (int t = 0; t < nTokens; t++) {
                    sum += a8.values[t] * (values.get(t).codes[c] - values.get(t).zero[g]);
                }
                out[c] = store(a8.scale * sum / total);
            }
        }
        return out;
    }
}
