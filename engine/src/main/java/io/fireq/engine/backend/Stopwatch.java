package io.fireq.engine.backend;

import java.util.function.IntConsumer;

/** Times what a backend computes: on the device's clock where there is a device, so that the host's share is left out. */
public interface Stopwatch {

    /**
     * Times operations of the current step.
     *
     * @param launch calls the operations of an index, which may choose among operands of the same shape
     * @param millis time to spend, about
     */
    Timing operations(IntConsumer launch, double millis);

    /**
     * Times whole steps that do not wait for each other. The host's share is left out as far as the device's is longer.
     *
     * @param millis time to spend, about
     */
    Timing steps(Runnable step, double millis);
}
