package io.fireq.kernels.bench;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

class LaunchTimerTest {

    @Test
    void median_and_spread_are_of_the_samples_taken() {
        double[] room = IntStream.range(0, 30).mapToDouble(i -> i < 11 ? 10 - i : 99).toArray();
        assertThat(LaunchTimer.Timing.of(room, 11)).isEqualTo(new LaunchTimer.Timing(5, 1, 9, 11));
        assertThat(LaunchTimer.Timing.of(room, 2)).isEqualTo(new LaunchTimer.Timing(9.5, 9, 10, 2));
        assertThat(LaunchTimer.Timing.of(new double[] {7}, 1)).isEqualTo(new LaunchTimer.Timing(7, 7, 7, 1));
    }
}
