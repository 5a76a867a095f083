package io.fireq.engine.bench;

import io.fireq.engine.backend.Timing;

/**
 * One line of a benchmark.
 *
 * @param part        what it belongs to
 * @param key         the shape, as a baseline of the same shape is named; unique within the part
 * @param what        the shape in words
 * @param timing      how long it took
 * @param flops       operations, a multiply-add being two; 0 where they do not matter
 * @param bytes       between memory and chip at least; 0 where that is not counted
 * @param tokens      prompt tokens, or generated ones; 0 for single operations
 * @param deviceMicros the device's share of the time; 0 where it was not measured
 */
public record Measurement(Part part, String key, String what, Timing timing, double flops, double bytes, int tokens,
        double deviceMicros) {

    static Measurement kernel(Part part, String key, String what, Timing timing, double flops, double bytes) {
        return new Measurement(part, key, what, timing, flops, bytes, 0, 0);
    }

    public double teraflopsPerSecond() {
        return flops / timing.micros() * 1e-6;
    }

    public double gigabytesPerSecond() {
        return bytes / timing.micros() * 1e-3;
    }

    public double tokensPerSecond() {
        return tokens / timing.micros() * 1e6;
    }

    /** What a step takes beyond the device's time. */
    public double hostMicros() {
        return timing.micros() - deviceMicros;
    }
}
