package io.fireq.engine.backend.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@Timeout(60)
class CpuWorkersTest {

    @ParameterizedTest
    @CsvSource({"1, 100, 1", "2, 100, 1", "3, 1000, 7", "4, 5, 8", "3, 0, 1", "2, 1, 1", "5, 1001, 100"})
    void every_item_is_worked_on_once(int threads, int n, int grain) {
        try (CpuWorkers workers = new CpuWorkers(threads)) {
            for (int round = 0; round < 200; round++) {
                AtomicIntegerArray visits = new AtomicIntegerArray(n);
                workers.parallelFor(n, grain, (worker, begin, end) -> {
                    assertThat(worker).isBetween(0, threads - 1);
                    for (int i = begin; i < end; i++) {
                        visits.incrementAndGet(i);
                    }
                });
                for (int i = 0; i < n; i++) {
                    assertThat(visits.get(i)).as("item %d in round %d", i, round).isEqualTo(1);
                }
            }
        }
    }

    @Test
    void two_threads_never_share_a_worker_index() {
        try (CpuWorkers workers = new CpuWorkers(4)) {
            AtomicInteger[] inside = Stream.generate(AtomicInteger::new).limit(4).toArray(AtomicInteger[]::new);
            AtomicInteger clashes = new AtomicInteger();
            for (int round = 0; round < 500; round++) {
                workers.parallelFor(64, 1, (worker, begin, end) -> {
                    if (inside[worker].incrementAndGet() != 1) {
                        clashes.incrementAndGet();
                    }
                    Thread.onSpinWait();
                    inside[worker].decrementAndGet();
                });
            }
            assertThat(clashes).hasValue(0);
        }
    }

    @Test
    void helpers_that_fell_asleep_wake_up_for_the_next_loop() throws InterruptedException {
        try (CpuWorkers workers = new CpuWorkers(2)) {
            for (int round = 0; round < 3; round++) {
                Thread.sleep(20); // far longer than a helper spins
                AtomicInteger helped = new AtomicInteger();
                // The caller's first item ends only when the helper has begun another.
                workers.parallelFor(2, 1, (worker, begin, end) -> {
                    helped.incrementAndGet();
                    while (helped.get() < 2) {
                        Thread.onSpinWait();
                    }
                });
                assertThat(helped).hasValue(2);
            }
        }
    }

    @Test
    void what_a_body_throws_reaches_the_caller_and_the_workers_stay_usable() {
        try (CpuWorkers workers = new CpuWorkers(3)) {
            for (int round = 0; round < 100; round++) {
                int bad = round;
                assertThatThrownBy(() -> workers.parallelFor(100, 1, (worker, begin, end) -> {
                    if (begin == bad) {
                        throw new IllegalStateException("item " + begin);
                    }
                })).isInstanceOf(IllegalStateException.class).hasMessage("item " + round);
            }
            assertThatThrownBy(() -> workers.parallelFor(10, 1, (worker, begin, end) -> {
                throw new StackOverflowError();
            })).isInstanceOf(StackOverflowError.class);
            AtomicInteger sum = new AtomicInteger();
            workers.parallelFor(10, 1, (worker, begin, end) -> sum.addAndGet(begin));
            assertThat(sum).hasValue(45);
        }
    }

    @Test
    void an_interrupted_caller_still_finishes_its_loop_and_stays_interrupted() {
        try (CpuWorkers workers = new CpuWorkers(2)) {
            Thread.currentThread().interrupt();
            AtomicInteger sum = new AtomicInteger();
            workers.parallelFor(100, 1, (worker, begin, end) -> sum.addAndGet(begin));
            assertThat(sum).hasValue(4950);
            assertThat(Thread.currentThread().isInterrupted()).isTrue();
        } finally {
            assertThat(Thread.interrupted()).isTrue(); // and close() left it set
        }
    }

    @Test
    void close_ends_the_helpers() {
        CpuWorkers workers = new CpuWorkers(3);
        long before = helperThreads();
        assertThat(before).isGreaterThanOrEqualTo(2);
        workers.close();
        assertThat(helperThreads()).isEqualTo(before - 2);
        assertThatThrownBy(() -> workers.parallelFor(2, 1, (worker, begin, end) -> { }))
                .isInstanceOf(IllegalStateException.class).hasMessageContaining("after close");
    }

    private static long helperThreads() {
        return Thread.getAllStackTraces().keySet().stream().filter(t -> t.getName().startsWith("fireq-cpu-")).count();
    }

    @Test
    void refuses_no_threads() {
        assertThatIllegalArgumentException().isThrownBy(() -> new CpuWorkers(0)).withMessageContaining("threads is 0");
    }
}
