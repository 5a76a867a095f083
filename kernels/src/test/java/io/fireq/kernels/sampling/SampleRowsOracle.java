package io.fireq.kernels.sampling;

import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/** One token from a row of logits by the definition: sort, cut, add up. Weights are in units of 2⁻⁴⁰. */
final class SampleRowsOracle {
    private static final float WEIGHT_ONE = 0x1p40f;

    private SampleRowsOracle() {}

    /** A token that prompt or answer holds, and how often the answer does. */
    record Penalty(int token, int count) {}

    /** The token, or -1 where a logit is NaN or the largest is infinite; {@code row}'s place in the list is not looked at. */
    static int sample(float[] given, SamplingRow row, List<Penalty> penalties) {
        float[] logits = given.clone();
        for (Penalty penalty : penalties) {
            float logit = logits[penalty.token()];
            logit = logit > 0 ? logit / row.repetitionPenalty() : logit * row.repetitionPenalty();
            if (penalty.count() > 0) {
                logit -= row.presencePenalty() + row.frequencyPenalty() * penalty.count();
            }
            logits[penalty.token()] = logit;
        }
        int best = 0;
        for (int i = 0; i < logits.length; i++) {
            if (Float.isNaN(logits[i])) {
                return -1;
            }
            best = logits[i] > logits[best] ? i : best;
        }
        if (Float.isInfinite(logits[best])) {
            return -1;
        }
        return row.temperature() == 0 || row.topK() == 1 ? best : draw(logits, logits[best], row);
    }

    private static int draw(float[] logits, float max, SamplingRow row) {
        List<Integer> sorted = IntStream.range(0, logits.length).boxed()
                .sorted(Comparator.<Integer>comparingDouble(i -> -(double) logits[i]).thenComparing(i -> i)).toList();
        long[] weights = new long[logits.length];
        for (int i = 0; i < logits.length; i++) {
            weights[i] = weight(logits[i], max, row.temperature());
        }
        int nKept = row.topK() == 0 ? logits.length : Math.min(row.topK(), logits.length);
        if (row.topP() < 1) {
            long all = sorted.stream().limit(nKept).mapToLong(i -> weights[i]).sum();
            long limit = Math.max(1, multiplyHigh(all, (long) (row.topP() * 0x1p63f) << 1));
            long mass = 0;
            nKept = 0;
            while (mass < limit) {
                mass += weights[sorted.get(nKept++)];
            }
        }
        long least = (long) (row.minP() * WEIGHT_ONE);
        int[] kept = sorted.stream().limit(nKept).mapToInt(i -> i).filter(i -> weights[i] >= least).sorted().toArray();
        long target = multiplyHigh(IntStream.of(kept).mapToLong(i -> weights[i]).sum(), randomBits(row.seed(), row.index()));
        long mass = 0;
        for (int token : kept) {
            mass += weights[token];
            if (mass > target) {
                return token;
            }
        }
        throw new AssertionError("The target is not below the sum of the weights");
    }

    /** {@code exp((logit - max) / temperature)}, rounded as the kernel's sources say. */
    static long weight(float logit, float max, float temperature) {
        float scale = Math.min((float) (1.4426950408889634 / temperature), Float.MAX_VALUE);
        float t = (logit - max) * scale;
        if (!(t >= -40)) {
            return 0;
        }
        float n = (float) Math.rint(t);
        float f = t - n;
        float power = 1.5403530e-4f;
        for (float c : new float[] {1.3333558e-3f, 9.6181291e-3f, 5.5504109e-2f, 2.4022651e-1f, 6.9314718e-1f, 1}) {
            power = power * f + c;
        }
        return (long) (power * Math.scalb(1f, (int) n + 40));
    }

    /** SplitMix64's finalizer over a counter. */
    static long randomBits(long seed, long index) {
        return mix(mix(seed) + (index + 1) * 0x9e3779b97f4a7c15L);
    }

    private static long mix(long bits) {
        long z = (bits ^ bits >>> 30) * 0xbf58476d1ce4e5b9L;
        z = (z ^ z >>> 27) * 0x94d049bb133111ebL;
        return z ^ z >>> 31;
    }

    /** Upper half of the product; {@code a} is not negative, {@code b} unsigned. */
    private static long multiplyHigh(long a, long b) {
        return Math.multiplyHigh(a, b) + (b < 0 ? a : 0);
    }
}
