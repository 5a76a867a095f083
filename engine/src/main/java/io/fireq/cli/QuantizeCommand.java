package io.fireq.cli;

import io.fireq.engine.quant.OfflineQuantizer;
import io.fireq.engine.quant.Profile;
import io.fireq.engine.quant.QuantizerOptions;
import io.fireq.engine.weights.v1.TensorReport;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import me.tongfei.progressbar.ProgressBar;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

@Command(name = "quantize", mixinStandardHelpOptions = true,
        description = "Turns a Hugging Face checkpoint into a FireQ checkpoint.")
final class QuantizeCommand implements Callable<Integer> {
    @Parameters(index = "0", paramLabel = "SOURCE", description = "Directory of the original checkpoint.")
    Path source;

    @Parameters(index = "1", paramLabel = "TARGET", description = "Directory to create.")
    Path target;

    @Option(names = "--profile", defaultValue = "best",
            description = "paper: plain rounding, symmetric KV cache; best: least squared error. "
                    + "Default: ${DEFAULT-VALUE}.")
    Profile profile;

    @Option(names = "--group-size", defaultValue = "128",
            description = "Columns that share a scale. Default: ${DEFAULT-VALUE}.")
    int groupSize;

    @Option(names = "--embedding", defaultValue = "e4m3", description = "bf16 or e4m3. Default: ${DEFAULT-VALUE}.")
    QuantizerOptions.TableFormat embedding;

    @Option(names = "--head", defaultValue = "e4m3", description = "e4m3 or int4. Default: ${DEFAULT-VALUE}.")
    QuantizerOptions.TableFormat head;

    @Spec
    CommandSpec spec;

    @Override
    public Integer call() throws IOException {
        PrintWriter out = spec.commandLine().getOut();
        QuantizerOptions options = QuantizerOptions.builder().profile(profile).groupSize(groupSize)
                .embedding(embedding).head(head).build();
        List<TensorReport> reports;
        try (ProgressBar bar = Console.progressBar("quantize", 1)) {
            reports = new OfflineQuantizer(options, (report, done, total) -> {
                Interruption.check();
                bar.maxHint(total);
                bar.stepTo(done);
            }).quantize(source, target);
        }
        ErrorTable.print(reports, out);
        out.printf(Locale.ROOT, "%n%s: %,d bytes, from %,d in %s%n", target, byteSize(target), byteSize(source),
                source);
        return 0;
    }

    private static long byteSize(Path directory) throws IOException {
        try (Stream<Path> files = Files.list(directory)) {
            long total = 0;
            for (Path file : files.filter(Files::isRegularFile).toList()) {
                total += Files.size(file);
            }
            return total;
        }
    }
}
