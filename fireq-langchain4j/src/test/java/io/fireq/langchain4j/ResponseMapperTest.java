package io.fireq.langchain4j;

import static org.assertj.core.api.Assertions.assertThat;

import dev.langchain4j.model.chat.response.ChatResponse;
import dev.langchain4j.model.output.FinishReason;
import dev.langchain4j.model.output.TokenUsage;
import io.fireq.engine.api.GenerationResult;
import io.fireq.engine.api.ToolSpec;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;

class ResponseMapperTest {
    private static final List<ToolSpec> TOOLS = List.of(new ToolSpec("add", "", "{\"type\":\"object\"}"));
    private static final String CALL = "{\"name\": \"add\", \"parameters\": {\"a\":17,\"b\":25}}";

    @Test
    void carries_text_usage_and_finish_reason_over() {
        ChatResponse stopped = response("Berlin.", io.fireq.engine.api.FinishReason.STOP, List.of());

        assertThat(stopped.aiMessage().text()).isEqualTo("Berlin.");
        assertThat(stopped.tokenUsage()).isEqualTo(new TokenUsage(20, 3, 23));
        assertThat(stopped.finishReason()).isEqualTo(FinishReason.STOP);
        assertThat(stopped.modelName()).isEqualTo("ember");
        assertThat(response("Ber", io.fireq.engine.api.FinishReason.LENGTH, List.of()).finishReason())
                .isEqualTo(FinishReason.LENGTH);
        assertThat(response("Ber", io.fireq.engine.api.FinishReason.CANCELLED, List.of()).finishReason())
                .isEqualTo(FinishReason.OTHER);
    }

    @Test
    void gives_every_response_its_own_id() {
        assertThat(response("a", io.fireq.engine.api.FinishReason.STOP, List.of()).id()).isNotBlank()
                .isNotEqualTo(response("a", io.fireq.engine.api.FinishReason.STOP, List.of()).id());
    }

    @Test
    void turns_a_call_of_an_offered_tool_into_a_request_without_text() {
        ChatResponse response = response(CALL, io.fireq.engine.api.FinishReason.STOP, TOOLS);

        assertThat(response.aiMessage().text()).isNull();
        assertThat(response.aiMessage().toolExecutionRequests()).singleElement().satisfies(request -> {
            assertThat(request.id()).isNotBlank();
            assertThat(request.name()).isEqualTo("add");
            assertThat(request.arguments()).isEqualToIgnoringWhitespace("{\"a\":17,\"b\":25}");
        });
        assertThat(response.finishReason()).isEqualTo(FinishReason.TOOL_EXECUTION);
    }

    @Test
    void keeps_what_looks_like_a_call_as_text_when_no_tool_was_offered() {
        ChatResponse response = response(CALL, io.fireq.engine.api.FinishReason.STOP, List.of());

        assertThat(response.aiMessage().text()).isEqualTo(CALL);
        assertThat(response.aiMessage().hasToolExecutionRequests()).isFalse();
        assertThat(response.finishReason()).isEqualTo(FinishReason.STOP);
    }

    private static ChatResponse response(String text, io.fireq.engine.api.FinishReason reason, List<ToolSpec> tools) {
        return ResponseMapper.response(
                new GenerationResult(text, new int[3], 20, reason, Duration.ZERO, Duration.ZERO), tools, "ember");
    }
}
