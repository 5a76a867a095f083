package io.fireq.engine;

import io.fireq.engine.quant.QuantizerProgress;
import io.fireq.engine.weights.v1.TensorReport;
import java.time.Duration;
import org.slf4j.Logger;

/** Says in the log how a quantization on first use goes: a line per tenth of the work. */
final class ProgressLog implements QuantizerProgress {
    private final Logger log;
    private int tenths;

    ProgressLog(Logger log) {
        this.log = log;
    }

    @Override
    public void tensorDone(TensorReport report, int done, int total) {
        log.debug("Quantized {}, {} of {}", report.name(), done, total);
    }

    @Override
    public void working(Work work) {
        if ((int) (10 * work.share()) > tenths && work.remaining().isPresent()) {
            tenths = (int) (10 * work.share());
            log.info("Quantized {} %, layer {} of {}, about {} left", 10 * tenths, work.block() + 1, work.nBlocks(),
                    minutes(work.remaining().get()));
        }
    }

    private static String minutes(Duration duration) {
        long seconds = duration.toSeconds();
        return seconds < 120 ? seconds + " s" : (seconds + 30) / 60 + " min";
    }
}
