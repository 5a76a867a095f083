package io.fireq.spring;

import static org.assertj.core.api.Assertions.assertThat;
import static org.mockito.ArgumentMatchers.any;
import static org.mockito.Mockito.mockStatic;

import io.fireq.engine.FireqEngines;
import io.fireq.engine.api.FireqException;
import io.fireq.engine.api.ModelFormatException;
import io.fireq.engine.api.ModelNotFoundException;
import io.fireq.engine.api.UnsupportedModelException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.mockito.MockedStatic;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.WebApplicationType;
import org.springframework.boot.autoconfigure.EnableAutoConfiguration;
import org.springframework.boot.test.system.CapturedOutput;
import org.springframework.boot.test.system.OutputCaptureExtension;
import org.springframework.context.annotation.Configuration;

/** Starts a whole application, so that the registration of the analyzers is tested too, and reads what it prints. */
@ExtendWith(OutputCaptureExtension.class)
class FireqFailureAnalysisTest {
    @Test
    void says_where_a_missing_model_was_looked_for(CapturedOutput output) {
        start(new ModelNotFoundException("Model ./nowhere: there is no such directory"), "--fireq.model=./nowhere");

        assertThat(output).contains("APPLICATION FAILED TO START",
                "The FireQ engine could not be started with fireq.model './nowhere':",
                "Model ./nowhere: there is no such directory",
                "Set fireq.model to the directory of a FireQ or Hugging Face checkpoint");
    }

    @Test
    void says_which_models_are_supported(CapturedOutput output) {
        start(new UnsupportedModelException("Model m: its architecture is Mamba; Llama is required"), "--fireq.model=m");

        assertThat(output).contains("its architecture is Mamba", "Set fireq.model to a checkpoint of the Llama",
                "'fireq import'");
    }

    @Test
    void says_which_file_is_damaged(CapturedOutput output) {
        start(new ModelFormatException(Path.of("m", "model.safetensors"), 8, "the header is cut off"), "--fireq.model=m");

        assertThat(output).contains("model.safetensors at byte 8: the header is cut off", "quantize it again");
    }

    @Test
    void offers_the_cpu_where_cuda_was_demanded(CapturedOutput output) {
        start(new FireqException("CUDA backend: there is no driver"), "--fireq.model=m", "--fireq.device=cuda");

        assertThat(output).contains("CUDA backend: there is no driver", "set fireq.device to \"auto\"");
    }

    @Test
    void does_not_talk_of_cuda_where_it_was_not_demanded(CapturedOutput output) {
        start(new FireqException("Out of disk"), "--fireq.model=m");

        assertThat(output).contains("Out of disk", "Correct what the description names.").doesNotContain("\"auto\"");
    }

    @Test
    void names_an_unknown_property_and_the_closest_known_one(CapturedOutput output) {
        start(new FireqException("must not be opened"), "--fireq.modle=m", "--fireq.generation.temprature=1");

        assertThat(output).contains("FireQ has no such property", "fireq.modle: m", "did you mean fireq.model?",
                "fireq.generation.temprature: 1", "did you mean fireq.generation.temperature?")
                .doesNotContain("must not be opened");
    }

    @ParameterizedTest
    @CsvSource({
        "fireq.threads=-1, threads is -1; it must be 0 or more",
        "fireq.max-model-len=-5, max-model-len is -5; it must be 0 or more",
        "fireq.max-running=-1, max-running is -1; it must be 0 or more",
        "fireq.generation.temperature=-1, temperature is -1.0; it must be 0 or more",
        "fireq.generation.top-p=1.5, top-p is 1.5; it must be above 0 and at most 1",
        "fireq.generation.max-output-tokens=0, max-output-tokens is 0; it must be 1 or more",
        "fireq.device=tpu, No enum constant io.fireq.engine.api.EngineOptions.Device.tpu",
    })
    void names_a_value_out_of_range(String property, String reason, CapturedOutput output) {
        start(new FireqException("must not be opened"), "--fireq.model=m", "--" + property);

        assertThat(output).contains("APPLICATION FAILED TO START", reason).doesNotContain("must not be opened");
    }

    @Test
    void refuses_a_blank_model(CapturedOutput output) {
        start(new FireqException("must not be opened"), "--fireq.model=");

        assertThat(output).contains("Name a checkpoint directory, or remove the property.")
                .doesNotContain("must not be opened");
    }

    @Test
    void knows_every_property() {
        assertThat(UnknownPropertyFailureAnalyzer.knownProperties()).hasSize(24)
                .contains("fireq.model", "fireq.cpu-kernels", "fireq.kv-cache-tokens", "fireq.generation.top-p")
                .doesNotContain("fireq.generation");
    }

    @ParameterizedTest
    @CsvSource({"model, model, 0", "modle, model, 2", "'', abc, 3", "kitten, sitting, 3"})
    void counts_edits(String from, String to, int edits) {
        assertThat(UnknownPropertyFailureAnalyzer.edits(from, to)).isEqualTo(edits);
    }

    private static void start(FireqException failure, String... arguments) {
        SpringApplication application = new SpringApplication(Application.class);
        application.setWebApplicationType(WebApplicationType.NONE);
        List<Throwable> thrown = new ArrayList<>();
        try (MockedStatic<FireqEngines> engines = mockStatic(FireqEngines.class)) {
            engines.when(() -> FireqEngines.open(any())).thenThrow(failure);
            application.run(arguments).close();
        } catch (RuntimeException e) {
            thrown.add(e);
        }
        assertThat(thrown).as("the application must not start").hasSize(1);
    }

    @Configuration(proxyBeanMethods = false)
    @EnableAutoConfiguration
    static class Application {}
}
