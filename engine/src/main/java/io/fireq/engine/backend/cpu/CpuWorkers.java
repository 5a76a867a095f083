package io.fireq.engine.backend.cpu;

import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;

/**
 * A caller and its helpers that share loops of independent items. A token passes through some hundred loops of a few
 * microseconds each, so helpers spin for the next one for a while before they sleep, and the caller never waits for a
 * helper that has not yet woken: it takes the items itself.
 *
 * <p>Which thread takes an item is left to chance; what an item computes must not depend on it. One caller at a time.
 */
final class CpuWorkers implements AutoCloseable {
    private static final long SPIN_NANOS = 50_000;
    private static final int SPINS_PER_CLOCK_READ = 32;

    private final Helper[] helpers;
    private volatile Loop loop;
    private volatile boolean closed;

    /** Works on the items {@code begin ≤ i < end}; {@code worker} says whose scratch to use, the caller is 0. */
    interface Body {
        void run(int worker, int begin, int end);
    }

    CpuWorkers(int threads) {
        if (threads < 1) {
            throw new IllegalArgumentException("CPU workers: threads is " + threads + "; it must be 1 or more");
        }
        helpers = new Helper[threads - 1];
        for (int i = 0; i < helpers.length; i++) {
            helpers[i] = new Helper(i + 1);
            helpers[i].start();
        }
    }

    /** Threads that take part, the caller included. */
    int threads() {
        return helpers.length + 1;
    }

    /**
     * Runs {@code body} over the items 0..n-1 in pieces of {@code grain} and returns when all are done. What a body
     * throws is thrown here once no thread works on the loop any more; pieces not yet begun are then left out.
     */
    void parallelFor(int n, int grain, Body body) {
        if (n <= grain || helpers.length == 0) {
            if (n > 0) {
                body.run(0, 0, n);
            }
            return;
        }
        if (closed) {
            throw new IllegalStateException("CPU workers: a loop was started after close");
        }
        Loop current = new Loop(n, grain, body);
        loop = current;
        for (Helper helper : helpers) {
            helper.wake();
        }
        current.work(0);
        current.await();
        loop = null;
        current.rethrow();
    }

    /** Ends the helpers and waits for them. */
    @Override
    public void close() {
        closed = true;
        for (Helper helper : helpers) {
            LockSupport.unpark(helper);
        }
        boolean interrupted = false;
        for (Helper helper : helpers) {
            while (helper.isAlive()) {
                try {
                    helper.join();
                } catch (InterruptedException e) {
                    interrupted = true;
                }
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    private final class Helper extends Thread {
        private final int worker;
        private volatile boolean asleep;

        Helper(int worker) {
            super("fireq-cpu-" + worker);
            this.worker = worker;
            setDaemon(true);
        }

        void wake() {
            if (asleep) {
                LockSupport.unpark(this);
            }
        }

        @Override
        public void run() {
            Loop last = null;
            while (!closed) {
                Loop next = awaitOther(last);
                if (next != null) {
                    next.work(worker);
                    last = next;
                }
            }
        }

        /** The next loop, or null after a wake-up without one. */
        private Loop awaitOther(Loop last) {
            long spinUntil = System.nanoTime() + SPIN_NANOS;
            do {
                for (int i = 0; i < SPINS_PER_CLOCK_READ; i++) {
                    Loop current = loop;
                    if (current != null && current != last) {
                        return current;
                    }
                    Thread.onSpinWait();
                }
            } while (System.nanoTime() - spinUntil < 0 && !closed);
            asleep = true; // before the last look at the loop: the caller writes the loop, then reads asleep
            Loop current = loop;
            if ((current == null || current == last) && !closed) {
                LockSupport.park(CpuWorkers.this);
            }
            asleep = false;
            return null;
        }
    }

    private static final class Loop {
        private final int n;
        private final int grain;
        private final Body body;
        private final Thread caller = Thread.currentThread();
        private final AtomicInteger next = new AtomicInteger();
        private final AtomicInteger done = new AtomicInteger();
        private final AtomicReference<Throwable> failure = new AtomicReference<>();
        private volatile boolean callerAsleep;

        Loop(int n, int grain, Body body) {
            this.n = n;
            this.grain = grain;
            this.body = body;
        }

        void work(int worker) {
            int begin;
            while (next.get() < n && (begin = next.getAndAdd(grain)) < n) {
                int end = Math.min(begin + grain, n);
                try {
                    if (failure.get() == null) {
                        body.run(worker, begin, end);
                    }
                } catch (Throwable t) {
                    failure.compareAndSet(null, t);
                } finally {
                    if (done.addAndGet(end - begin) == n && callerAsleep) {
                        LockSupport.unpark(caller);
                    }
                }
            }
        }

        void await() {
            long spinUntil = System.nanoTime() + SPIN_NANOS;
            while (done.get() < n) {
                if (System.nanoTime() - spinUntil < 0) {
                    Thread.onSpinWait();
                    continue;
                }
                callerAsleep = true;
                if (done.get() < n) {
                    LockSupport.parkNanos(this, 1_000_000); // bounded: an interrupted thread does not park at all
                }
            }
        }

        void rethrow() {
            Throwable thrown = failure.get();
            if (thrown instanceof Error error) {
                throw error;
            }
            if (thrown != null) {
                throw (RuntimeException) thrown; // a body declares no checked exception
            }
        }
    }
}
