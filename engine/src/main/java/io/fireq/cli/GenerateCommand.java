package io.fireq.cli;

import io.fireq.engine.FireqEngines;
import io.fireq.engine.api.FireqEngine;
import io.fireq.engine.api.GenerationRequest;
import io.fireq.engine.api.GenerationResult;
import java.io.PrintWriter;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

@Command(name = "generate", mixinStandardHelpOptions = true, showDefaultValues = false,
        description = "Continues a text, without a chat format around it.")
final class GenerateCommand implements Callable<Integer> {
    @Mixin
    EngineArguments engineArguments;

    @Mixin
    SamplingArguments sampling;

    @Parameters(index = "1", paramLabel = "PROMPT", description = "The text to continue.")
    String prompt;

    @Option(names = "--stats", description = "Print token counts and speed at the end.")
    boolean stats;

    @Spec
    CommandSpec spec;

    @Override
    public Integer call() {
        PrintWriter out = spec.commandLine().getOut();
        try (FireqEngine engine = FireqEngines.open(engineArguments.toOptions().build())) {
            out.print(prompt);
            GenerationResult result = Console.stream(engine,
                    new GenerationRequest(engine.encodePrompt(prompt), sampling.toParams(engine.model()),
                            sampling.maxTokens, sampling.stop, false), out);
            if (stats) {
                spec.commandLine().getErr().println(Console.summary(result));
            }
        }
        return 0;
    }
}
