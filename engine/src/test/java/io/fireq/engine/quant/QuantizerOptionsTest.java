package io.fireq.engine.quant;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import io.fireq.engine.quant.QuantizerOptions.Builder;
import io.fireq.engine.quant.QuantizerOptions.TableFormat;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.Test;

class QuantizerOptionsTest {

    @Test
    void mistakes_are_refused_with_what_was_given_and_what_is_required() {
        refused(o -> o.groupSize(0), "group size is 0; it must be even and 2 or more");
        refused(o -> o.groupSize(33), "group size is 33");
        refused(o -> o.kvGroupSize(-1), "KV cache's group size is -1; it must be 0 or more");
        refused(o -> o.head(TableFormat.BF16), "head cannot be bf16");
        refused(o -> o.embedding(TableFormat.INT4), "embedding cannot be int4");
        refused(o -> o.damping(Double.NaN), "damping is NaN");
        refused(o -> o.damping(-0.1), "damping is -0.1");
        refused(o -> o.threads(-2), "threads is -2");
        assertThatIllegalArgumentException().isThrownBy(() -> new CalibrationOptions(Optional.empty(), -1, 0, 1))
                .withMessageContaining("-1 windows");
        assertThatIllegalArgumentException().isThrownBy(() -> paper(-1, 0.9, 8)).withMessageContaining("alpha is -1.0");
        assertThatIllegalArgumentException().isThrownBy(() -> paper(8, 0, 8))
                .withMessageContaining("factor of value is 0.0");
        assertThatIllegalArgumentException().isThrownBy(() -> paper(8, 0.9, -1)).withMessageContaining("top-k -1");
        assertThatIllegalArgumentException().isThrownBy(() -> paper(Double.NaN, 0.9, 8))
                .withMessageContaining("alpha is NaN");
    }

    private static void refused(UnaryOperator<Builder> change, String message) {
        Builder builder = change.apply(QuantizerOptions.builder());
        assertThatIllegalArgumentException().isThrownBy(builder::build).withMessageContaining(message);
    }

    private static PaperConstants paper(double alpha, double value, int topK) {
        return new PaperConstants(0, 0.0096, 0.015, 0, value, alpha, 8, topK, false);
    }

    @Test
    void the_group_size_is_the_largest_that_divides_a_row() {
        QuantizerOptions options = QuantizerOptions.DEFAULT;
        assertThat(List.of(4096, 192, 1536 + 32, 48, 172).stream().map(options::groupSizeFor))
                .containsExactly(128, 64, 32, 16, 172);
        assertThat(QuantizerOptions.builder().groupSize(32).build().groupSizeFor(4096)).isEqualTo(32);
    }

    @Test
    void equal_parts_make_equal_options_whatever_their_order() {
        QuantizerOptions one = QuantizerOptions.builder().without(Part.GPTQ).without(Part.CORRECTION).build();
        QuantizerOptions other = QuantizerOptions.builder().without(Part.CORRECTION).without(Part.GPTQ).build();
        assertThat(one).isEqualTo(other).hasToString(other.toString());
        assertThat(one.has(Part.GPTQ)).isFalse();
        assertThat(one.has(Part.REFINEMENT)).isTrue();
    }

    @Test
    void the_time_that_is_left_is_what_the_rest_takes_at_the_speed_so_far() {
        AtomicLong clock = new AtomicLong();
        List<QuantizerProgress.Work> works = new ArrayList<>();
        ProgressMeter meter = new ProgressMeter(new QuantizerProgress() {
            @Override
            public void tensorDone(io.fireq.engine.weights.v1.TensorReport report, int done, int total) {}

            @Override
            public void working(Work work) {
                works.add(work);
            }
        }, 2, 4, clock::get); // taken up behind the second of four layers
        meter.step("first", 0, 1);
        assertThat(works.get(0).share()).isEqualTo(0.5);
        assertThat(works.get(0).remaining()).as("too early to say").isEmpty();
        clock.set(Duration.ofSeconds(30).toNanos());
        meter.step("second", 0.5, 1);
        assertThat(works.get(1).share()).isEqualTo(0.625);
        assertThat(works.get(1).remaining()).contains(Duration.ofSeconds(90));
        assertThat(works.get(1).block()).isEqualTo(2);
        meter.blockDone();
        clock.set(Duration.ofSeconds(60).toNanos());
        meter.step("third", 0, 1);
        assertThat(works.get(2)).isEqualTo(new QuantizerProgress.Work(3, 4, "third", 0.75,
                Optional.of(Duration.ofSeconds(60))));
    }
}
