package io.fireq.cli;

import io.fireq.engine.quant.QuantizerOptions;
import io.fireq.engine.quant.imports.CheckpointImporter;
import io.fireq.engine.quant.imports.ImportOptions;
import io.fireq.engine.weights.v1.TensorReport;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import me.tongfei.progressbar.ProgressBar;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

@Command(name = "import", mixinStandardHelpOptions = true,
        description = {"Turns a 4-bit GPTQ, AWQ or compressed-tensors checkpoint into a FireQ checkpoint.",
            "Codes are kept; scales are rounded to FireQ's where they do not fit exactly."})
final class ImportCommand implements Callable<Integer> {
    @Parameters(index = "0", paramLabel = "SOURCE", description = "Directory of the quantized checkpoint.")
    Path source;

    @Parameters(index = "1", paramLabel = "TARGET", description = "Directory to create.")
    Path target;

    @Option(names = "--fallback", defaultValue = "none",
            description = "Layers whose codes cannot be kept (zero points, activation order, no codes): none refuses "
                    + "them, fp8 stores them as e4m3 (twice the memory, little loss), int4 rounds them again. "
                    + "Default: ${DEFAULT-VALUE}.")
    ImportOptions.Fallback fallback;

    @Option(names = "--min-sqnr", defaultValue = "28", paramLabel = "DB",
            description = "Least signal to noise of a layer against the source, in dB, for its codes to count as kept. "
                    + "Default: ${DEFAULT-VALUE}.")
    double minSqnrDb;

    @Option(names = "--embedding", defaultValue = "e4m3", description = "bf16 or e4m3. Default: ${DEFAULT-VALUE}.")
    QuantizerOptions.TableFormat embedding;

    @Spec
    CommandSpec spec;

    @Override
    public Integer call() {
        PrintWriter out = spec.commandLine().getOut();
        List<TensorReport> reports;
        try (ProgressBar bar = Console.progressBar("import", 1)) {
            reports = new CheckpointImporter(new ImportOptions(fallback, minSqnrDb, embedding),
                    (report, done, total) -> {
                        Interruption.check();
                        bar.maxHint(total);
                        bar.stepTo(done);
                    }).importInto(source, target);
        }
        out.println("SQNR is against the weights of the source.");
        ErrorTable.print(reports, out);
        out.printf(Locale.ROOT, "%n%s: %d layers kept their codes, %d of them are exact; %d stored as e4m3, %d rounded to "
                + "INT4 again%n", target, count(reports, 1, "int4"),
                reports.stream().filter(r -> isKept(r, 1) && r.sqnrDb().isEmpty()).count(),
                count(reports, 0, "e4m3"), count(reports, 0, "int4"));
        return 0;
    }

    private static long count(List<TensorReport> reports, double kept, String format) {
        return reports.stream().filter(report -> isKept(report, kept) && report.format().equals(format)).count();
    }

    private static boolean isKept(TensorReport report, double kept) {
        Double value = report.measures().get(CheckpointImporter.CODES_KEPT);
        return value != null && value == kept;
    }
}
