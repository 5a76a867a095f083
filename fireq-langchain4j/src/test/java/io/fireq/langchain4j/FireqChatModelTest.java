package io.fireq.langchain4j;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.langchain4j.data.message.UserMessage;
import dev.langchain4j.exception.InternalServerException;
import dev.langchain4j.exception.InvalidRequestException;
import dev.langchain4j.exception.LangChain4jException;
import dev.langchain4j.exception.RateLimitException;
import dev.langchain4j.exception.UnsupportedFeatureException;
import dev.langchain4j.model.ModelProvider;
import dev.langchain4j.model.chat.request.ChatRequest;
import dev.langchain4j.model.chat.request.ChatRequestParameters;
import dev.langchain4j.model.chat.response.ChatResponse;
import dev.langchain4j.model.output.TokenUsage;
import io.fireq.engine.FireqEngines;
import io.fireq.engine.api.CapacityException;
import io.fireq.engine.api.EngineOptions;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.mockito.MockedStatic;
import org.mockito.Mockito;

@Timeout(60)
class FireqChatModelTest {
    private final FakeEngine engine = FakeEngine.answering("The capital is Berlin.");

    @Test
    void answers_with_exact_usage() {
        ChatResponse response = model().build().chat(UserMessage.from("Capital?"));

        assertThat(response.aiMessage().text()).isEqualTo("The capital is Berlin.");
        assertThat(response.tokenUsage())
                .as("characters of the rendered prompt, and four words and the end token")
                .isEqualTo(new TokenUsage("<USER>Capital?<ASSISTANT>".length(), 5));
        assertThat(response.modelName()).isEqualTo(FakeEngine.MODEL_NAME);
    }

    @Test
    void lets_a_request_override_the_defaults_of_the_model() {
        FireqChatModel model = model()
                .defaultRequestParameters(FireqChatRequestParameters.builder().temperature(0.5).seed(7L).build())
                .build();

        model.chat(ChatRequest.builder()
                .messages(UserMessage.from("Capital?"))
                .parameters(ChatRequestParameters.builder().temperature(0.25).build())
                .build());

        assertThat(engine.requests).singleElement().satisfies(request -> {
            assertThat(request.sampling().temperature()).isEqualTo(0.25f);
            assertThat(request.sampling().seed()).hasValue(7);
        });
    }

    @Test
    void tells_who_provides_it_and_which_model_it_asks() {
        assertThat(model().build().provider()).isEqualTo(ModelProvider.OTHER);
        assertThat(model().build().defaultRequestParameters().modelName()).isEqualTo(FakeEngine.MODEL_NAME);
        assertThat(model().build().supportedCapabilities()).isEmpty();
    }

    @Test
    void refuses_defaults_it_cannot_honour_when_built() {
        assertThatThrownBy(() -> model()
                .defaultRequestParameters(ChatRequestParameters.builder().modelName("gpt").build())
                .build())
                .isExactlyInstanceOf(UnsupportedFeatureException.class)
                .hasMessageContaining("gpt");
        assertThat(engine.closed).as("the engine is not the model's to close").isFalse();
    }

    @Test
    void maps_what_the_engine_refuses_and_stays_usable() {
        engine.refusal = new CapacityException(CapacityException.Resource.QUEUE, "queue is full");
        assertThatThrownBy(() -> model().build().chat("Capital?"))
                .isExactlyInstanceOf(RateLimitException.class).hasMessage("queue is full");

        engine.refusal = null;
        assertThat(model().build().chat("Capital?")).contains("Berlin");
    }

    @Test
    void maps_a_parameter_out_of_range() {
        assertThatThrownBy(() -> model().build().chat(ChatRequest.builder()
                .messages(UserMessage.from("Capital?"))
                .parameters(ChatRequestParameters.builder().topP(1.5).build())
                .build()))
                .isExactlyInstanceOf(InvalidRequestException.class)
                .hasMessageContaining("top-p is 1.5");
    }

    @Test
    void maps_a_failure_during_generation() {
        engine.failure = new IllegalStateException("scripted failure");

        assertThatThrownBy(() -> model().build().chat("Capital?"))
                .isExactlyInstanceOf(InternalServerException.class)
                .hasMessage("scripted failure");
    }

    @Test
    void cancels_the_generation_when_the_caller_is_interrupted() throws Exception {
        FakeEngine slow = FakeEngine.answering("word ".repeat(10_000));
        slow.tokenMillis = 5;
        FireqChatModel model = FireqChatModel.builder().engine(slow).build();
        AtomicReference<Throwable> thrown = new AtomicReference<>();
        AtomicReference<Boolean> interrupted = new AtomicReference<>();
        Thread caller = new Thread(() -> {
            try {
                model.chat("Capital?");
            } catch (RuntimeException e) {
                thrown.set(e);
                interrupted.set(Thread.currentThread().isInterrupted());
            }
        });

        caller.start();
        while (slow.callbackThreads.isEmpty()) {
            Thread.onSpinWait();
        }
        caller.interrupt();
        caller.join();
        slow.callbackThreads.get(0).join();

        assertThat(thrown.get()).isExactlyInstanceOf(LangChain4jException.class).hasMessageContaining("interrupted");
        assertThat(interrupted.get()).isTrue();
        assertThat(slow.results).singleElement()
                .satisfies(result -> assertThat(result.tokens().length).isLessThan(10_000));
    }

    @Test
    void leaves_an_engine_that_was_handed_in_open() {
        model().build().close();

        assertThat(engine.closed).isFalse();
    }

    @Test
    void closes_an_engine_that_it_opened() {
        EngineOptions options = EngineOptions.of("somewhere");
        try (MockedStatic<FireqEngines> engines = Mockito.mockStatic(FireqEngines.class)) {
            engines.when(() -> FireqEngines.open(options)).thenReturn(engine);
            FireqChatModel model = FireqChatModel.builder().engineOptions(options).build();
            assertThat(engine.closed).isFalse();

            model.close();

            assertThat(engine.closed).isTrue();
        }
    }

    @Test
    void asks_for_an_engine_when_there_is_none() {
        assertThatThrownBy(() -> FireqChatModel.builder().build())
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("engineOptions");
    }

    private FireqChatModel.Builder model() {
        return FireqChatModel.builder().engine(engine);
    }
}
