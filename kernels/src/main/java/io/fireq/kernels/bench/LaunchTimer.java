package io.fireq.kernels.bench;

import io.fireq.kernels.cuda.CudaContext;
import io.fireq.kernels.cuda.CudaEvent;
import io.fireq.kernels.cuda.CudaGraph;
import io.fireq.kernels.cuda.CudaStream;
import java.util.Arrays;
import java.util.function.IntConsumer;

/** Device times between two events of a stream. Whoever times small problems rotates buffers beyond L2. */
public final class LaunchTimer {
    private static final int MAX_LAUNCHES = 64;
    /** What one sample lasts at least, where that takes no more launches: events resolve half a microsecond. */
    private static final double SAMPLE_MILLIS = 2;
    private static final int MIN_SAMPLES = 5;
    private static final int MAX_SAMPLES = 200;

    private final CudaContext context;
    private final CudaStream stream;

    public LaunchTimer(CudaContext context, CudaStream stream) {
        this.context = context;
        this.stream = stream;
    }

    /**
     * Microseconds of one launch.
     *
     * @param median  of the samples
     * @param low     10th percentile
     * @param high    90th percentile
     * @param samples how many there are
     */
    public record Timing(double median, double low, double high, int samples) {
        static Timing of(double[] micros, int count) {
            double[] sorted = Arrays.copyOf(micros, count);
            Arrays.sort(sorted);
            return new Timing((sorted[(count - 1) / 2] + sorted[count / 2]) / 2, at(sorted, 0.1), at(sorted, 0.9), count);
        }

        private static double at(double[] sorted, double share) {
            return sorted[(int) Math.round(share * (sorted.length - 1))];
        }
    }

    /**
     * Times launches without the host's share: many are recorded as a graph, and replaying it is timed.
     *
     * @param launch queues the launch of an index, which may choose the buffers; it runs twice before anything is
     *               recorded, after that it may neither wait nor allocate
     * @param millis device time to spend, about
     */
    public Timing recorded(IntConsumer launch, double millis) {
        launch.accept(0);
        stream.synchronize();
        try (CudaEvent start = context.newEvent(); CudaEvent end = context.newEvent()) {
            double once = sample(start, end, () -> launch.accept(1));
            int launches = (int) Math.max(1, Math.min(MAX_LAUNCHES, SAMPLE_MILLIS / Math.max(once, 1e-3)));
            try (CudaGraph graph = CudaGraph.capture(stream, () -> {
                for (int i = 0; i < launches; i++) {
                    launch.accept(i);
                }
            })) {
                graph.launch(stream);
                return samples(start, end, () -> graph.launch(stream), launches, millis);
            }
        }
    }

    /**
     * Times work that queues more than the device has done when it returns: the host's share hides behind the device's,
     * unless it is the longer one.
     *
     * @param millis device time to spend, about
     */
    public Timing queued(Runnable work, double millis) {
        work.run();
        try (CudaEvent start = context.newEvent(); CudaEvent end = context.newEvent()) {
            double once = sample(start, end, work);
            int repetitions = (int) Math.max(2, Math.min(MAX_LAUNCHES, millis / MIN_SAMPLES / Math.max(once, 1e-3)));
            return samples(start, end, () -> {
                for (int i = 0; i < repetitions; i++) {
                    work.run();
                }
            }, repetitions, millis);
        }
    }

    private Timing samples(CudaEvent start, CudaEvent end, Runnable work, int launches, double millis) {
        double[] micros = new double[MAX_SAMPLES];
        int count = 0;
        for (double spent = 0; count < MIN_SAMPLES || spent < millis && count < MAX_SAMPLES; count++) {
            double sample = sample(start, end, work);
            spent += sample;
            micros[count] = sample * 1e3 / launches;
        }
        return Timing.of(micros, count);
    }

    private double sample(CudaEvent start, CudaEvent end, Runnable work) {
        start.record(stream);
        work.run();
        end.record(stream);
        end.synchronize();
        return end.millisSince(start);
    }
}
