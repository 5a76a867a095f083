package io.fireq.engine.tensor;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.concurrent.atomic.AtomicIntegerArray;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ChunksTest {

    @ParameterizedTest
    @CsvSource({"0, 5", "1, 5", "5, 5", "6, 5", "1003, 10"})
    void every_index_has_its_turn_once(int n, int grain) {
        AtomicIntegerArray turns = new AtomicIntegerArray(n);
        Chunks.forEach(n, grain, (begin, end) -> {
            assertThat(end - begin).isBetween(0, grain);
            for (int i = begin; i < end; i++) {
                turns.incrementAndGet(i);
            }
        });
        for (int i = 0; i < n; i++) {
            assertThat(turns.get(i)).isEqualTo(1);
        }
    }
}
