package io.fireq.spring;

import static org.assertj.core.api.Assertions.assertThat;
import static org.mockito.ArgumentMatchers.any;
import static org.mockito.Mockito.mock;
import static org.mockito.Mockito.mockStatic;
import static org.mockito.Mockito.never;
import static org.mockito.Mockito.verify;
import static org.mockito.Mockito.when;

import dev.langchain4j.model.TokenCountEstimator;
import dev.langchain4j.model.chat.ChatModel;
import dev.langchain4j.model.chat.StreamingChatModel;
import dev.langchain4j.model.chat.listener.ChatModelListener;
import io.fireq.engine.FireqEngines;
import io.fireq.engine.api.BackendSelection;
import io.fireq.engine.api.EngineOptions;
import io.fireq.engine.api.FireqEngine;
import io.fireq.engine.api.ModelInfo;
import io.fireq.engine.api.Numerics;
import io.fireq.langchain4j.FireqChatModel;
import io.fireq.langchain4j.FireqChatRequestParameters;
import io.fireq.langchain4j.FireqStreamingChatModel;
import io.fireq.langchain4j.FireqTokenCountEstimator;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.mockito.ArgumentCaptor;
import org.mockito.MockedStatic;
import org.springframework.boot.autoconfigure.AutoConfigurations;
import org.springframework.boot.test.context.runner.ApplicationContextRunner;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.core.annotation.Order;

class FireqAutoConfigurationTest {
    private final FireqEngine engine = engine("ember");
    private final ApplicationContextRunner runner =
            new ApplicationContextRunner().withConfiguration(AutoConfigurations.of(FireqAutoConfiguration.class));
    private MockedStatic<FireqEngines> engines;

    @BeforeEach
    void open_the_mocked_engine() {
        engines = mockStatic(FireqEngines.class);
        engines.when(() -> FireqEngines.open(any())).thenReturn(engine);
    }

    @AfterEach
    void stop_mocking() {
        engines.close();
    }

    @Test
    void stays_out_of_an_application_that_names_no_model() {
        runner.run(context -> assertThat(context)
                .hasNotFailed()
                .doesNotHaveBean(FireqEngine.class)
                .doesNotHaveBean(ChatModel.class)
                .doesNotHaveBean(StreamingChatModel.class)
                .doesNotHaveBean(TokenCountEstimator.class));
        engines.verify(() -> FireqEngines.open(any()), never());
    }

    @Test
    void registers_one_bean_of_each_kind_under_a_stable_name() {
        runner.withPropertyValues("fireq.model=models/ember").run(context -> {
            assertThat(context).hasSingleBean(FireqEngine.class).hasSingleBean(ChatModel.class)
                    .hasSingleBean(StreamingChatModel.class).hasSingleBean(TokenCountEstimator.class);
            assertThat(context.getBean("fireqEngine")).isSameAs(engine);
            assertThat(context.getBean("fireqChatModel")).isInstanceOf(FireqChatModel.class);
            assertThat(context.getBean("fireqStreamingChatModel")).isInstanceOf(FireqStreamingChatModel.class);
            assertThat(context.getBean("fireqTokenCountEstimator")).isInstanceOf(FireqTokenCountEstimator.class);
        });
    }

    @Test
    void opens_one_engine_for_both_models_and_closes_it_with_the_application() {
        runner.withPropertyValues("fireq.model=models/ember").run(context -> {
            context.getBean(ChatModel.class);
            context.getBean(StreamingChatModel.class);
            verify(engine, never()).close();
        });

        engines.verify(() -> FireqEngines.open(any()));
        verify(engine).close();
    }

    @Test
    void binds_every_engine_property() {
        ArgumentCaptor<EngineOptions> opened = ArgumentCaptor.forClass(EngineOptions.class);

        runner.withPropertyValues("fireq.model=models/ember", "fireq.device=cpu", "fireq.numerics=float32",
                "fireq.threads=3", "fireq.cpu-kernels=plain", "fireq.cache-dir=some/cache", "fireq.max-model-len=1000",
                "fireq.kv-cache-tokens=2000", "fireq.kv-block-size=32", "fireq.max-batch-tokens=300",
                "fireq.max-running=5", "fireq.max-waiting=7",
                "fireq.gpu-memory-share=0.5", "fireq.cuda-graphs=false")
                .run(context -> assertThat(context).hasNotFailed());

        engines.verify(() -> FireqEngines.open(opened.capture()));
        assertThat(opened.getValue()).isEqualTo(EngineOptions.builder("models/ember")
                .device(EngineOptions.Device.CPU)
                .numerics(Numerics.FLOAT32)
                .threads(3)
                .cpuKernels(EngineOptions.CpuKernelChoice.PLAIN)
                .cacheDir(Path.of("some/cache"))
                .maxModelLen(1000)
                .kvCacheTokens(2000)
                .kvBlockSize(32)
                .maxBatchTokens(300)
                .maxRunning(5)
                .maxWaiting(7)
                .gpuMemoryShare(0.5)
                .cudaGraphs(false)
                .build());
    }

    @Test
    void has_the_defaults_of_the_engine() {
        runner.withPropertyValues("fireq.model=models/ember").run(context -> assertThat(context).hasNotFailed());

        engines.verify(() -> FireqEngines.open(EngineOptions.of("models/ember")));
    }

    @Test
    void gives_every_generation_property_to_both_models() {
        FireqChatRequestParameters expected = FireqChatRequestParameters.builder()
                .modelName("ember")
                .temperature(0.5)
                .topP(0.25)
                .topK(7)
                .minP(0.125)
                .repetitionPenalty(1.5)
                .presencePenalty(0.75)
                .frequencyPenalty(-0.5)
                .maxOutputTokens(13)
                .stopSequences("END", "STOP")
                .seed(11L)
                .build();

        runner.withPropertyValues("fireq.model=models/ember", "fireq.generation.temperature=0.5",
                "fireq.generation.top-p=0.25", "fireq.generation.top-k=7", "fireq.generation.min-p=0.125",
                "fireq.generation.repetition-penalty=1.5", "fireq.generation.presence-penalty=0.75",
                "fireq.generation.frequency-penalty=-0.5", "fireq.generation.max-output-tokens=13",
                "fireq.generation.stop-sequences=END,STOP", "fireq.generation.seed=11")
                .run(context -> {
                    assertThat(context.getBean(ChatModel.class).defaultRequestParameters()).isEqualTo(expected);
                    assertThat(context.getBean(StreamingChatModel.class).defaultRequestParameters())
                            .isEqualTo(expected);
                });
    }

    @Test
    void leaves_generation_to_the_model_when_nothing_is_set() {
        runner.withPropertyValues("fireq.model=models/ember").run(context ->
                assertThat(context.getBean(ChatModel.class).defaultRequestParameters())
                        .isEqualTo(FireqChatRequestParameters.builder().modelName("ember").build()));
    }

    @Test
    void serves_an_engine_of_the_application_and_leaves_closing_it_to_its_bean() {
        runner.withUserConfiguration(OwnEngine.class).withPropertyValues("fireq.model=models/ember").run(context -> {
            assertThat(context).hasSingleBean(FireqEngine.class).doesNotHaveBean("fireqEngine");
            assertThat(context.getBean(ChatModel.class).defaultRequestParameters().modelName()).isEqualTo("own");
        });
        engines.verify(() -> FireqEngines.open(any()), never());
    }

    @Test
    void serves_an_engine_of_the_application_without_any_property() {
        runner.withUserConfiguration(OwnEngine.class).run(context -> assertThat(context)
                .hasSingleBean(ChatModel.class).hasSingleBean(StreamingChatModel.class)
                .hasSingleBean(TokenCountEstimator.class));
    }

    @Test
    void gives_way_to_models_of_the_application() {
        runner.withUserConfiguration(OwnModels.class).withPropertyValues("fireq.model=models/ember")
                .run(context -> assertThat(context)
                        .hasSingleBean(ChatModel.class).doesNotHaveBean("fireqChatModel")
                        .hasSingleBean(StreamingChatModel.class).doesNotHaveBean("fireqStreamingChatModel")
                        .hasSingleBean(TokenCountEstimator.class).doesNotHaveBean("fireqTokenCountEstimator")
                        .hasBean("fireqEngine"));
    }

    @Test
    void gives_listeners_to_both_models_in_order() {
        runner.withUserConfiguration(Listeners.class).withPropertyValues("fireq.model=models/ember").run(context -> {
            List<ChatModelListener> expected =
                    List.of(context.getBean("first", ChatModelListener.class), context.getBean("second", ChatModelListener.class));
            assertThat(context.getBean(ChatModel.class).listeners()).isEqualTo(expected);
            assertThat(context.getBean(StreamingChatModel.class).listeners()).isEqualTo(expected);
        });
    }

    private static FireqEngine engine(String name) {
        FireqEngine engine = mock(FireqEngine.class);
        when(engine.model())
                .thenReturn(new ModelInfo(name, 1024, 8192, 3, 64, 12_345, "int4 g128", Optional.empty()));
        when(engine.backend()).thenReturn(new BackendSelection("cpu", "3 cores", "no CUDA device", List.of()));
        return engine;
    }

    @Configuration(proxyBeanMethods = false)
    static class OwnEngine {
        @Bean
        FireqEngine ownEngine() {
            return engine("own");
        }
    }

    @Configuration(proxyBeanMethods = false)
    static class OwnModels {
        @Bean
        ChatModel ownChatModel() {
            return mock(ChatModel.class);
        }

        @Bean
        StreamingChatModel ownStreamingChatModel() {
            return mock(StreamingChatModel.class);
        }

        @Bean
        TokenCountEstimator ownEstimator() {
            return mock(TokenCountEstimator.class);
        }
    }

    @Configuration(proxyBeanMethods = false)
    static class Listeners {
        @Bean
        @Order(2)
        ChatModelListener second() {
            return mock(ChatModelListener.class);
        }

        @Bean
        @Order(1)
        ChatModelListener first() {
            return mock(ChatModelListener.class);
        }
    }
}
