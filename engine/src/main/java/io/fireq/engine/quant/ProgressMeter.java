package io.fireq.engine.quant;

import io.fireq.engine.quant.QuantizerProgress.Work;
import java.time.Duration;
import java.util.Optional;
import java.util.function.LongSupplier;

/** Counts the passes over the windows of each layer and estimates how long the rest takes. */
final class ProgressMeter {
    private static final double ENOUGH_TO_TELL = 0.01;

    private final QuantizerProgress progress;
    private final int nBlocks;
    private final LongSupplier nanoClock;
    private final long start;
    private final double startShare;
    private int block;
    private double doneInBlock;

    /**
     * @param firstBlock where the work begins: the layers in front of it were done earlier
     * @param nanoClock  such as {@code System::nanoTime}
     */
    ProgressMeter(QuantizerProgress progress, int firstBlock, int nBlocks, LongSupplier nanoClock) {
        this.progress = progress;
        this.nBlocks = nBlocks;
        this.nanoClock = nanoClock;
        this.block = firstBlock;
        this.startShare = (double) firstBlock / nBlocks;
        this.start = nanoClock.getAsLong();
    }

    /**
     * A part of a pass is done.
     *
     * @param activity  what it is about
     * @param passShare of the layer's work that the whole pass is
     * @param parts     of the pass
     */
    void step(String activity, double passShare, int parts) {
        doneInBlock = Math.min(1, doneInBlock + passShare / parts);
        report(activity);
    }

    void blockDone() {
        block++;
        doneInBlock = 0;
    }

    private void report(String activity) {
        double share = (block + doneInBlock) / nBlocks;
        double sinceStart = share - startShare;
        Optional<Duration> remaining = Optional.empty();
        if (sinceStart >= ENOUGH_TO_TELL) {
            double nanos = (nanoClock.getAsLong() - start) * (1 - share) / sinceStart;
            remaining = Optional.of(Duration.ofNanos((long) nanos));
        }
        progress.working(new Work(block, nBlocks, activity, share, remaining));
    }
}
