package io.fireq.engine.backend.cuda;

import io.fireq.engine.backend.Stopwatch;
import io.fireq.engine.backend.Timing;
import io.fireq.kernels.bench.LaunchTimer;
import java.util.function.IntConsumer;

/** Times with CUDA events. */
final class CudaStopwatch implements Stopwatch {
    private final LaunchTimer timer;
    private final boolean graphs;

    /** @param graphs whether the backend collects operations instead of launching them */
    CudaStopwatch(LaunchTimer timer, boolean graphs) {
        this.timer = timer;
        this.graphs = graphs;
    }

    @Override
    public Timing operations(IntConsumer launch, double millis) {
        if (graphs) {
            throw new IllegalStateException("CUDA backend: with CUDA graphs operations are launched as whole steps; open "
                    + "the backend without to time single ones");
        }
        return timing(timer.recorded(launch, millis));
    }

    @Override
    public Timing steps(Runnable step, double millis) {
        return timing(timer.queued(step, millis));
    }

    private static Timing timing(LaunchTimer.Timing timing) {
        return new Timing(timing.median(), timing.low(), timing.high(), timing.samples());
    }
}
