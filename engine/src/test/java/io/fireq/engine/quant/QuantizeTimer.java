package io.fireq.engine.quant;

import io.fireq.engine.api.EngineOptions.Device;
import io.fireq.engine.weights.v1.TensorReport;
import java.lang.management.BufferPoolMXBean;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;

/**
 * Quantizes a checkpoint and prints where the time went. Arguments: source, target, profile, device. The time up to a sign
 * of progress counts for what the sign names; what is not a decoder layer's is counted apart.
 */
final class QuantizeTimer implements QuantizerProgress {
    private static final double MIB = 1 << 20;

    private static final int CALLS = 4;
    private static final int SAMPLE_MILLIS = 10;

    private final Map<String, Integer> samples = new ConcurrentHashMap<>();
    private final Map<String, Long> nanos = new LinkedHashMap<>();
    private final long start = System.nanoTime();
    private long last = start;
    private int blocks;
    private volatile long peakBytes;

    public static void main(String[] args) {
        QuantizeTimer timer = new QuantizeTimer();
        Thread main = Thread.currentThread();
        startDaemon(timer::watchMemory);
        startDaemon(() -> timer.watchCalls(main));
        QuantizerOptions options = QuantizerOptions.builder().profile(Profile.valueOf(args[2].toUpperCase(Locale.ROOT)))
                .device(Device.valueOf(args[3].toUpperCase(Locale.ROOT))).build();
        List<TensorReport> reports = new OfflineQuantizer(options, timer).quantize(Path.of(args[0]), Path.of(args[1]));
        timer.count("checkpoint");
        timer.print(reports);
    }

    private static void startDaemon(Runnable work) {
        Thread thread = new Thread(work);
        thread.setDaemon(true);
        thread.start();
    }

    /** Notes every few milliseconds what the main thread is at: the innermost methods of ours. */
    private void watchCalls(Thread main) {
        while (true) {
            String calls = Arrays.stream(main.getStackTrace()).filter(frame -> frame.getClassName().startsWith("io.fireq"))
                    .limit(CALLS).map(frame -> frame.getClassName().substring(frame.getClassName().lastIndexOf('.') + 1)
                            + "." + frame.getMethodName() + ":" + frame.getLineNumber())
                    .collect(Collectors.joining(" < "));
            samples.merge(calls, 1, Integer::sum);
            sleep(SAMPLE_MILLIS);
        }
    }

    private static void sleep(int millis) {
        try {
            Thread.sleep(millis);
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    private synchronized void count(String what) {
        long now = System.nanoTime();
        nanos.merge(what, now - last, Long::sum);
        last = now;
    }

    @Override
    public void tensorDone(TensorReport report, int done, int total) {
        count(report.name().startsWith("model.layers.") ? "writing a layer" : report.name());
        if (report.name().endsWith("down_proj")) {
            blocks++;
            System.out.printf(Locale.ROOT, "layer %d at %.1f s%n", blocks, (System.nanoTime() - start) * 1e-9);
        }
    }

    @Override
    public void working(Work work) {
        count(work.activity());
    }

    private void watchMemory() {
        while (true) {
            long direct = ManagementFactory.getPlatformMXBeans(BufferPoolMXBean.class).stream()
                    .filter(pool -> pool.getName().equals("direct")).mapToLong(BufferPoolMXBean::getMemoryUsed).sum();
            long heap = Runtime.getRuntime().totalMemory() - Runtime.getRuntime().freeMemory();
            peakBytes = Math.max(peakBytes, heap + direct);
            sleep(50);
        }
    }

    private void print(List<TensorReport> reports) {
        System.out.printf(Locale.ROOT, "%-30s %10s %14s%n", "phase", "seconds", "per layer");
        nanos.forEach((what, time) ->
                System.out.printf(Locale.ROOT, "%-30s %10.2f %14.3f%n", what, time * 1e-9, time * 1e-9 / blocks));
        System.out.printf(Locale.ROOT, "%d layers in %.1f s; heap and direct memory at most %.0f MiB%n", blocks,
                (System.nanoTime() - start) * 1e-9, peakBytes / MIB);
        samples.entrySet().stream().sorted((a, b) -> b.getValue() - a.getValue()).limit(50).forEach(sample ->
                System.out.printf(Locale.ROOT, "%7.2f s  %s%n", sample.getValue() * SAMPLE_MILLIS * 1e-3, sample.getKey()));
        for (TensorReport report : reports) {
            if (report.name().startsWith("model.layers.0.")) {
                System.out.println(report.name() + " " + report.measures());
            }
        }
    }
}
