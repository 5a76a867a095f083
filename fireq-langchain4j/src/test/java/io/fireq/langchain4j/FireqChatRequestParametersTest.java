package io.fireq.langchain4j;

import static org.assertj.core.api.Assertions.assertThat;

import dev.langchain4j.model.chat.request.ChatRequestParameters;
import org.junit.jupiter.api.Test;

class FireqChatRequestParametersTest {
    private static final FireqChatRequestParameters DEFAULTS = FireqChatRequestParameters.builder()
            .temperature(0.5).seed(1L).minP(0.25).repetitionPenalty(1.5).build();

    @Test
    void are_overridden_field_by_field() {
        assertThat(DEFAULTS.overrideWith(FireqChatRequestParameters.builder().seed(2L).topK(3).build()))
                .isEqualTo(FireqChatRequestParameters.builder()
                        .temperature(0.5).seed(2L).minP(0.25).repetitionPenalty(1.5).topK(3).build());
    }

    @Test
    void keep_their_own_fields_when_common_parameters_override_them() {
        ChatRequestParameters common = ChatRequestParameters.builder().temperature(0.75).build();

        assertThat(DEFAULTS.overrideWith(common)).isEqualTo(FireqChatRequestParameters.builder()
                .temperature(0.75).seed(1L).minP(0.25).repetitionPenalty(1.5).build());
    }

    @Test
    void survive_as_override_and_as_default_of_common_parameters() {
        ChatRequestParameters common = ChatRequestParameters.builder().temperature(0.75).topK(3).build();

        assertThat(common.overrideWith(DEFAULTS)).isEqualTo(FireqChatRequestParameters.builder()
                .temperature(0.5).topK(3).seed(1L).minP(0.25).repetitionPenalty(1.5).build());
        assertThat(DEFAULTS.defaultedBy(common)).isEqualTo(common.overrideWith(DEFAULTS));
    }

    @Test
    void are_equal_only_if_every_field_is() {
        assertThat(DEFAULTS).isEqualTo(DEFAULTS.overrideWith(FireqChatRequestParameters.builder().build()))
                .hasSameHashCodeAs(DEFAULTS.overrideWith(FireqChatRequestParameters.builder().build()))
                .isNotEqualTo(DEFAULTS.overrideWith(FireqChatRequestParameters.builder().seed(2L).build()))
                .isNotEqualTo(DEFAULTS.overrideWith(FireqChatRequestParameters.builder().minP(0.5).build()))
                .isNotEqualTo(DEFAULTS.overrideWith(FireqChatRequestParameters.builder().repetitionPenalty(2.0).build()))
                .isNotEqualTo(DEFAULTS.overrideWith(ChatRequestParameters.builder().topK(2).build()));
        assertThat(DEFAULTS.toString()).contains("seed=1", "minP=0.25", "repetitionPenalty=1.5", "temperature=0.5");
    }
}
