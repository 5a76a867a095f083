package io.fireq.cli;

import io.fireq.engine.api.EngineOptions.CpuKernelChoice;
import io.fireq.engine.api.EngineOptions.Device;
import io.fireq.engine.quant.CalibrationOptions;
import io.fireq.engine.quant.OfflineQuantizer;
import io.fireq.engine.quant.PaperConstants;
import io.fireq.engine.quant.Part;
import io.fireq.engine.quant.Profile;
import io.fireq.engine.quant.QuantizerOptions;
import io.fireq.engine.quant.QuantizerOptions.TableFormat;
import io.fireq.engine.quant.QuantizerProgress;
import io.fireq.engine.weights.v1.TensorReport;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import me.tongfei.progressbar.ProgressBar;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

@Command(name = "quantize", mixinStandardHelpOptions = true, sortOptions = false, usageHelpWidth = 100,
        customSynopsis = "fireq quantize [OPTIONS] SOURCE TARGET",
        description = {"Turns a Hugging Face checkpoint into a FireQ checkpoint.",
            "Interrupted, it goes on where it was when called again with the same arguments.%n"},
        footer = {"%nParts of profile best:",
            "  power_of_two_scales  channels are first brought to a common size by powers of two",
            "  channel_scales       scales between the layers, from the sizes of weights and activations",
            "  key_scales           the same for K against Q, behind the rotation",
            "  key_hadamard         channels of K and Q are mixed before K is stored in 4 bits",
            "  value_hadamard       channels of V are mixed, at no cost at run time",
            "  normal_levels        4-bit levels spaced for normally distributed weights, where that is better",
            "  gptq                 the error of each column is made good in the columns behind it",
            "  refinement           codes and row scales are improved once more",
            "  correction           layers aim at the unquantized model, not at their own disturbed input",
            "  residual_rotation    off: the residual stream is rotated, at no cost at run time",
            "  activation_order     off: GPTQ begins with the columns of the largest activations"})
final class QuantizeCommand implements Callable<Integer> {
    private static final int PROGRESS_STEPS = 1000;

    @Parameters(index = "0", paramLabel = "SOURCE", description = "Directory of the original checkpoint.")
    Path source;

    @Parameters(index = "1", paramLabel = "TARGET", description = "Directory to create.")
    Path target;

    @Option(names = "--profile", defaultValue = "best", paramLabel = "PROFILE",
            description = "best: calibrated, least loss; paper: FireQ as published. Default: ${DEFAULT-VALUE}.")
    Profile profile;

    @Option(names = "--group-size", defaultValue = "128", paramLabel = "N",
            description = "Columns that share a scale. Default: ${DEFAULT-VALUE}.")
    int groupSize;

    @Option(names = "--kv-group-size", defaultValue = "0", paramLabel = "N",
            description = "Channels of a head that share a scale in the KV cache; 0 for the whole head, which every "
                    + "backend runs fast. Default: ${DEFAULT-VALUE}.")
    int kvGroupSize;

    @Option(names = "--embedding", defaultValue = "e4m3", paramLabel = "FORMAT",
            description = "bf16 or e4m3. Default: ${DEFAULT-VALUE}.")
    TableFormat embedding;

    @Option(names = "--head", defaultValue = "e4m3", paramLabel = "FORMAT",
            description = "e4m3 or int4. Default: ${DEFAULT-VALUE}.")
    TableFormat head;

    @Option(names = "--device", defaultValue = "auto", paramLabel = "DEVICE",
            description = "auto, cpu or cuda. Default: ${DEFAULT-VALUE}, a GPU where there is one to use.")
    Device device;

    @Option(names = "--threads", defaultValue = "0", paramLabel = "N",
            description = "CPU threads of the heavy work; 0 takes all processors.")
    int threads;

    @Option(names = "--cpu-kernels", defaultValue = "auto", paramLabel = "KIND",
            description = "auto, vector, or plain, which writes the same bytes on every machine, but takes longer. "
                    + "Default: ${DEFAULT-VALUE}.")
    CpuKernelChoice kernels;

    @ArgGroup(exclusive = false, validate = false, heading = "%nWhat the model reads while it is quantized:%n")
    CalibrationArguments calibration = new CalibrationArguments();

    @ArgGroup(exclusive = false, validate = false, heading = "%nOf profile best:%n")
    BestArguments best = new BestArguments();

    @ArgGroup(exclusive = false, validate = false, heading = "%nOf profile paper, constants as published; 0 leaves a scaling out:%n")
    PaperArguments paper = new PaperArguments();

    @Spec
    CommandSpec spec;

    static final class CalibrationArguments {
        @Option(names = "--calibration", paramLabel = "FILE",
                description = "A UTF-8 text, or JSON lines with a \"text\" each. Default: a text that FireQ brings "
                        + "along.")
        Path text;

        @Option(names = "--calibration-windows", defaultValue = "0", paramLabel = "N",
                description = "Most windows of it; 0 for the profile's default (best 64, paper 10).")
        int windows;

        @Option(names = "--calibration-window", defaultValue = "0", paramLabel = "TOKENS",
                description = "Tokens per window; 0 for the profile's default (best 512, paper 2048).")
        int windowLen;

        @Option(names = "--seed", defaultValue = "1", paramLabel = "N",
                description = "Chooses windows where the text has more. Default: ${DEFAULT-VALUE}.")
        long seed;
    }

    static final class BestArguments {
        @Option(names = "--without", split = ",", paramLabel = "PART",
                description = "Leave out some of the parts below.")
        Set<Part> without = EnumSet.noneOf(Part.class);

        @Option(names = "--with", split = ",", paramLabel = "PART",
                description = "Add parts that are off by default.")
        Set<Part> with = EnumSet.noneOf(Part.class);

        @Option(names = "--damping", defaultValue = "0.1", paramLabel = "SHARE",
                description = "Added to the diagonal of the inputs' second moments, relative to it. "
                        + "Default: ${DEFAULT-VALUE}.")
        double damping;
    }

    static final class PaperArguments {
        @Option(names = "--paper-attention-input", defaultValue = "0", paramLabel = "SCALE",
                description = "Input channels of q, k and v. Default: ${DEFAULT-VALUE}.")
        double attentionInput;

        @Option(names = "--paper-up-gate", defaultValue = "0.0096", paramLabel = "SCALE",
                description = "Λ2, input channels of gate and up. Default: ${DEFAULT-VALUE}.")
        double upGate;

        @Option(names = "--paper-down", defaultValue = "0.015", paramLabel = "SCALE",
                description = "Λ3, input channels of down. Default: ${DEFAULT-VALUE}.")
        double down;

        @Option(names = "--paper-output", defaultValue = "0", paramLabel = "SCALE",
                description = "Input channels of o, beside Λ1. Default: ${DEFAULT-VALUE}.")
        double output;

        @Option(names = "--paper-value", defaultValue = "0.9", paramLabel = "FACTOR",
                description = "Λ1, of V. Default: ${DEFAULT-VALUE}.")
        double value;

        @Option(names = "--paper-alpha", defaultValue = "8", paramLabel = "SIZE", description = "N: rotated pairs of K channels reach this. Default: ${DEFAULT-VALUE}.")
        double alpha;

        @Option(names = "--paper-beta", defaultValue = "8", paramLabel = "SIZE", description = "S: the chosen K channels reach this. Default: ${DEFAULT-VALUE}.")
        double beta;

        @Option(names = "--paper-top-k", defaultValue = "8", paramLabel = "N",
                description = "Channels of each head that S is for, and their partners. Default: ${DEFAULT-VALUE}.")
        int topK;

        @Option(names = "--paper-bf16-scales",
                description = "σ_BF16 instead of σ_FP8; stored as e4m3 weights.")
        boolean bf16Scales;
    }

    @Override
    public Integer call() throws IOException {
        PrintWriter out = spec.commandLine().getOut();
        List<TensorReport> reports;
        try (ProgressBar bar = Console.progressBar("quantize", PROGRESS_STEPS)) {
            reports = new OfflineQuantizer(options(), new Bar(bar)).quantize(source, target);
        }
        ErrorTable.print(reports, out);
        out.printf(Locale.ROOT, "%n%s: %,d bytes, from %,d in %s%n", target, byteSize(target), byteSize(source),
                source);
        return 0;
    }

    private QuantizerOptions options() {
        QuantizerOptions.Builder builder = QuantizerOptions.builder()
                .profile(profile)
                .groupSize(groupSize)
                .kvGroupSize(kvGroupSize)
                .embedding(embedding)
                .head(head)
                .damping(best.damping)
                .paper(new PaperConstants(paper.attentionInput, paper.upGate, paper.down, paper.output, paper.value,
                        paper.alpha, paper.beta, paper.topK, paper.bf16Scales))
                .calibration(new CalibrationOptions(Optional.ofNullable(calibration.text), calibration.windows,
                        calibration.windowLen, calibration.seed))
                .device(device)
                .threads(threads)
                .kernels(kernels);
        best.with.forEach(builder::with);
        best.without.forEach(builder::without);
        return builder.build();
    }

    private record Bar(ProgressBar bar) implements QuantizerProgress {
        @Override
        public void tensorDone(TensorReport report, int done, int total) {
            Interruption.check();
        }

        @Override
        public void working(Work work) {
            Interruption.check();
            bar.stepTo((long) (PROGRESS_STEPS * work.share()));
            bar.setExtraMessage(String.format(Locale.ROOT, "layer %d of %d, %s%s", work.block() + 1, work.nBlocks(),
                    work.activity(), work.remaining()
                            .map(left -> String.format(Locale.ROOT, ", %d:%02d left", left.toMinutes(),
                                    left.toSecondsPart()))
                            .orElse("")));
        }
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
