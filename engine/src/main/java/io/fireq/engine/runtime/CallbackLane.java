package io.fireq.engine.runtime;

import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Runs one request's callbacks away from the engine's thread: on a thread of their own, in order, so that a slow
 * listener delays nobody but itself. The thread ends with the last call.
 */
final class CallbackLane {
    private static final Logger LOG = LoggerFactory.getLogger(CallbackLane.class);

    private final BlockingQueue<Runnable> calls = new LinkedBlockingQueue<>();
    private final Thread thread;
    private volatile boolean ended;

    /** @param requestId names the thread */
    CallbackLane(long requestId) {
        thread = new Thread(this::drain, "fireq-callback-" + requestId);
        thread.setDaemon(true);
    }

    /** Starts the thread; calls posted earlier are run first. */
    void start() {
        thread.start();
    }

    void post(Runnable call) {
        calls.add(call);
    }

    /** Posts the last call. */
    void postLast(Runnable call) {
        calls.add(() -> {
            ended = true;
            call.run();
        });
    }

    private void drain() {
        while (!ended) {
            try {
                calls.take().run();
            } catch (InterruptedException e) {
                LOG.warn("The callback thread was interrupted by user code; callbacks go on");
            } catch (RuntimeException | Error e) {
                LOG.warn("A generation listener threw; generation goes on", e);
            }
        }
    }
}
