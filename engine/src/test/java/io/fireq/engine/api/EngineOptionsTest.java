package io.fireq.engine.api;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import org.junit.jupiter.api.Test;

class EngineOptionsTest {

    @Test
    void a_gpu_takes_larger_steps_unless_told_otherwise() {
        EngineOptions unset = EngineOptions.builder("model").build();
        assertThat(unset.resolved(true).maxBatchTokens()).isEqualTo(2048);
        assertThat(unset.resolved(true).maxRunning()).isEqualTo(64);
        assertThat(unset.resolved(false).maxBatchTokens()).isEqualTo(512);
        assertThat(unset.resolved(false).maxRunning()).isEqualTo(16);
        EngineOptions set = EngineOptions.builder("model").maxBatchTokens(7).maxRunning(3).build();
        assertThat(set.resolved(true)).isEqualTo(set);
    }

    @Test
    void refuses_negative_numbers_and_names_the_property() {
        assertThatIllegalArgumentException().isThrownBy(() -> EngineOptions.builder("model").maxRunning(-1).build())
                .withMessageContaining("max-running is -1").withMessageContaining("0 or more");
    }
}
