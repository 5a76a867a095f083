package io.fireq.spring;

import io.fireq.engine.api.FireqException;
import io.fireq.engine.api.ModelFormatException;
import io.fireq.engine.api.ModelNotFoundException;
import io.fireq.engine.api.UnsupportedModelException;
import org.springframework.boot.diagnostics.AbstractFailureAnalyzer;
import org.springframework.boot.diagnostics.FailureAnalysis;
import org.springframework.core.env.Environment;

/** Says what kept the engine from starting and what to do, in place of a stack trace. */
final class FireqFailureAnalyzer extends AbstractFailureAnalyzer<FireqException> {
    private final Environment environment;

    FireqFailureAnalyzer(Environment environment) {
        this.environment = environment;
    }

    @Override
    protected FailureAnalysis analyze(Throwable rootFailure, FireqException cause) {
        String model = environment.getProperty("fireq.model");
        String description = "The FireQ engine could not be started%s:%n%n    %s"
                .formatted(model == null ? "" : " with fireq.model '%s'".formatted(model), cause.getMessage());
        return new FailureAnalysis(description, action(cause), cause);
    }

    private String action(FireqException cause) {
        if (cause instanceof ModelNotFoundException) {
            return "Set fireq.model to the directory of a FireQ or Hugging Face checkpoint, or to \"classpath:\" and a "
                    + "directory on the class path. A relative path counts from the directory the application runs in.";
        }
        if (cause instanceof UnsupportedModelException) {
            return "Set fireq.model to a checkpoint of the Llama architecture with a chat template. A 4-bit checkpoint "
                    + "that needs an option of 'fireq import' is imported with that command first.";
        }
        if (cause instanceof ModelFormatException) {
            return "Fetch the checkpoint again or quantize it again: a file of it is damaged or incomplete.";
        }
        if ("cuda".equalsIgnoreCase(environment.getProperty("fireq.device"))) {
            return "Correct what the description names, or set fireq.device to \"auto\" to run on the CPU where there is "
                    + "no usable GPU.";
        }
        return "Correct what the description names.";
    }
}
