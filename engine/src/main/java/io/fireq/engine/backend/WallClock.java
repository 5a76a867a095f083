package io.fireq.engine.backend;

import java.util.ArrayList;
import java.util.List;
import java.util.function.IntConsumer;

/** Times operations that have ended when they return. */
final class WallClock implements Stopwatch {
    private static final int MIN_SAMPLES = 3;

    @Override
    public Timing operations(IntConsumer launch, double millis) {
        long warm = System.nanoTime();
        do {
            launch.accept(0);
        } while (System.nanoTime() - warm < millis * 1e6); // until the JVM has compiled it
        List<Double> micros = new ArrayList<>();
        long start = System.nanoTime();
        while (micros.size() < MIN_SAMPLES || System.nanoTime() - start < millis * 1e6) {
            long before = System.nanoTime();
            launch.accept(micros.size());
            micros.add((System.nanoTime() - before) / 1e3);
        }
        return Timing.of(micros.stream().mapToDouble(Double::doubleValue).toArray());
    }

    @Override
    public Timing steps(Runnable step, double millis) {
        return operations(i -> step.run(), millis);
    }
}
