package io.fireq.cli;

import io.fireq.engine.FireqEngines;
import io.fireq.engine.eval.Perplexity;
import io.fireq.engine.runtime.LoadedModel;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.concurrent.Callable;
import me.tongfei.progressbar.ProgressBar;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

@Command(name = "perplexity", mixinStandardHelpOptions = true,
        description = "Measures how well a model predicts a text: consecutive windows, each scored on its own.")
final class PerplexityCommand implements Callable<Integer> {
    @Mixin
    EngineArguments engineArguments;

    @Parameters(index = "1", paramLabel = "TEXT", description = "A UTF-8 text file.")
    Path text;

    @Option(names = "--window", defaultValue = "1024", description = "Tokens per window. Default: ${DEFAULT-VALUE}.")
    int window;

    @Option(names = "--windows", defaultValue = "0", description = "Most windows to score; 0 scores all.")
    int windows;

    @Spec
    CommandSpec spec;

    @Override
    public Integer call() throws IOException {
        PrintWriter out = spec.commandLine().getOut();
        String content = Files.readString(text);
        try (LoadedModel loaded = FireqEngines.load(engineArguments.toOptions().maxBatchTokens(256).build())) {
            Perplexity perplexity = new Perplexity(loaded, window);
            int[] tokens = loaded.encodePrompt(content);
            Perplexity.Result result;
            try (ProgressBar bar = Console.progressBar("perplexity", 1)) {
                result = perplexity.evaluate(tokens, windows, (soFar, total) -> {
                    Interruption.check();
                    bar.maxHint(total);
                    bar.stepTo(soFar.windows());
                    bar.setExtraMessage(String.format(Locale.ROOT, "%.3f", soFar.perplexity()));
                });
            }
            out.printf(Locale.ROOT, "%s (%s): perplexity %.4f over %d windows of %d tokens (%,d scored)%n",
                    loaded.info().name(), loaded.info().quantization(), result.perplexity(), result.windows(), window,
                    result.scoredTokens());
        }
        return 0;
    }
}
