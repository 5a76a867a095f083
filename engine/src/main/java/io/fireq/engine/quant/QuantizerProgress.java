package io.fireq.engine.quant;

import io.fireq.engine.weights.v1.TensorReport;
import java.time.Duration;
import java.util.Optional;

/**
 * Told how a quantization goes, on the thread that called it. What it throws ends the work; the same call made again
 * later takes up what was finished.
 */
public interface QuantizerProgress {

    /**
     * A tensor is finished.
     *
     * @param done  finished tensors, this one included
     * @param total all tensors
     */
    void tensorDone(TensorReport report, int done, int total);

    /** Called often: at least once for each window that passes through a layer. */
    default void working(Work work) {}

    /**
     * @param block     the decoder layer at work, from 0
     * @param nBlocks   all of them
     * @param activity  what is done to it, such as "attention"
     * @param share     how much of the whole is done, 0 to 1
     * @param remaining how long the rest will take; empty while it is too early to say
     */
    record Work(int block, int nBlocks, String activity, double share, Optional<Duration> remaining) {}
}
