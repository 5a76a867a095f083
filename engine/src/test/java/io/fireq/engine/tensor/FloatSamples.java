package io.fireq.engine.tensor;

import java.util.function.DoubleUnaryOperator;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/** Floats that a rounding rule could get wrong, and the rounding rule itself, written to be obvious. */
final class FloatSamples {
    /** A prime, so that the sampled bit patterns share no low bits. */
    private static final int STRIDE = 4099;

    private FloatSamples() {}

    /** Bit patterns across all floats of both signs, without NaN: about a million. */
    static Stream<Float> acrossAllFloats() {
        return IntStream.iterate(0, bits -> bits >= 0 && bits <= 0x7f800000, bits -> bits + STRIDE).boxed()
                .flatMap(bits -> Stream.of(Float.intBitsToFloat(bits), -Float.intBitsToFloat(bits)));
    }

    /** Each value, each midpoint between neighbours, and the floats on both sides of those; both signs. */
    static Stream<Float> aroundTies(double[] ascending) {
        return IntStream.range(0, ascending.length).boxed().flatMap(i -> {
            float value = (float) ascending[i];
            float tie = (float) (i + 1 < ascending.length ? (ascending[i] + ascending[i + 1]) / 2 : ascending[i]);
            return Stream.of(value, tie).flatMap(f -> Stream.of(Math.nextDown(f), f, Math.nextUp(f)));
        }).filter(f -> f >= 0).flatMap(f -> Stream.of(f, -f));
    }

    /** Index of the value nearest to {@code x >= 0}; of two equally near the even index. */
    static int nearest(double[] ascending, double x) {
        int low = 0;
        int high = ascending.length - 1;
        while (high - low > 1) {
            int middle = (low + high) >>> 1;
            if (ascending[middle] <= x) {
                low = middle;
            } else {
                high = middle;
            }
        }
        double below = x - ascending[low];
        double above = ascending[high] - x;
        return below < above || below == above && low % 2 == 0 ? low : high;
    }

    static double[] values(int count, DoubleUnaryOperator decode) {
        return IntStream.range(0, count).mapToDouble(i -> decode.applyAsDouble(i)).toArray();
    }
}
