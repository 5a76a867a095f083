package io.fireq.cli;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * Ctrl-C: the JVM's shutdown asks the running command to stop, and waits a little for it to close what it opened and to
 * remove what it wrote half.
 */
final class Interruption {
    private static final long PATIENCE_SECONDS = 10;
    private static final CountDownLatch REQUESTED = new CountDownLatch(1);
    private static final CountDownLatch DONE = new CountDownLatch(1);

    private static final AtomicBoolean AT_PROMPT = new AtomicBoolean();

    private Interruption() {}

    static void install() {
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            REQUESTED.countDown();
            if (AT_PROMPT.get()) {
                return; // nothing is under way, and a blocked read cannot be asked to stop
            }
            try {
                DONE.await(PATIENCE_SECONDS, TimeUnit.SECONDS);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }, "fireq-shutdown"));
    }

    static void done() {
        DONE.countDown();
    }

    static boolean isRequested() {
        return REQUESTED.getCount() == 0;
    }

    /** Says whether the command waits for its user, so that there is nothing to wait for. */
    static void atPrompt(boolean waiting) {
        AT_PROMPT.set(waiting);
    }

    /** Long work calls this between steps. */
    static void check() {
        if (isRequested()) {
            throw new InterruptedByUser();
        }
    }

    /** The user pressed Ctrl-C. */
    static final class InterruptedByUser extends RuntimeException {
        InterruptedByUser() {
            super("interrupted by the user");
        }
    }
}
