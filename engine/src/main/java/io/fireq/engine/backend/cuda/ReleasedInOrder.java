package io.fireq.engine.backend.cuda;

import io.fireq.kernels.cuda.CudaContext;
import java.util.Deque;
import java.util.function.Supplier;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Releases what belongs to a context. After a fault the driver refuses to free what the fault has taken with it; that is
 * logged, not thrown, for the fault itself has been reported.
 */
final class ReleasedInOrder {
    private static final Logger LOG = LoggerFactory.getLogger(ReleasedInOrder.class);

    private ReleasedInOrder() {}

    /** @param owned last first; empty afterwards */
    static void close(Supplier<String> what, CudaContext context, Deque<AutoCloseable> owned) {
        if (owned.isEmpty()) {
            return;
        }
        String name = what.get();
        attempt(name, () -> {
            context.makeCurrent(); // perhaps this is another thread
            context.synchronize();
        });
        while (!owned.isEmpty()) {
            attempt(name, owned.pop());
        }
    }

    private static void attempt(String what, AutoCloseable release) {
        try {
            release.close();
        } catch (Exception e) {
            LOG.warn("Closing {}: something could not be released: {}", what, e.getMessage());
        }
    }
}
