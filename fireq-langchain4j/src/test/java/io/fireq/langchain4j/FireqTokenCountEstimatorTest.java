package io.fireq.langchain4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.langchain4j.data.message.AiMessage;
import dev.langchain4j.data.message.ChatMessage;
import dev.langchain4j.data.message.ImageContent;
import dev.langchain4j.data.message.SystemMessage;
import dev.langchain4j.data.message.UserMessage;
import dev.langchain4j.exception.UnsupportedFeatureException;
import java.util.List;
import org.junit.jupiter.api.Test;

class FireqTokenCountEstimatorTest {
    private static final List<ChatMessage> CHAT =
            List.of(SystemMessage.from("Be brief."), UserMessage.from("What is my name?"), AiMessage.from("Klaus."));

    private final FakeEngine engine = FakeEngine.answering("unused");
    private final FireqTokenCountEstimator estimator = new FireqTokenCountEstimator(engine);

    @Test
    void counts_text_without_any_frame() {
        assertThat(estimator.estimateTokenCountInText("Berlin")).isEqualTo(6);
    }

    @Test
    void counts_messages_as_the_prompt_they_make() {
        assertThat(estimator.estimateTokenCountInMessages(CHAT))
                .isEqualTo("<SYSTEM>Be brief.<USER>What is my name?<ASSISTANT>Klaus.<ASSISTANT>".length());
        assertThat(estimator.estimateTokenCountInMessages(List.of())).isZero();
    }

    @Test
    void counts_one_message_as_what_it_adds_to_a_prompt() {
        int whole = estimator.estimateTokenCountInMessages(CHAT);
        int withoutFirst = estimator.estimateTokenCountInMessages(CHAT.subList(1, 3));

        assertThat(estimator.estimateTokenCountInMessage(CHAT.get(0))).isEqualTo(whole - withoutFirst);
    }

    @Test
    void refuses_messages_it_cannot_read() {
        assertThatThrownBy(() -> estimator.estimateTokenCountInMessage(
                UserMessage.from(ImageContent.from("https://example.org/cat.jpg"))))
                .isExactlyInstanceOf(UnsupportedFeatureException.class);
    }
}
