package io.fireq.cli;

import io.fireq.engine.model.ModelConfig;
import io.fireq.engine.weights.Checkpoint;
import io.fireq.engine.weights.TensorInfo;
import io.fireq.engine.weights.v1.QuantizationInfo;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

@Command(name = "inspect", mixinStandardHelpOptions = true, description = "Shows what is in a checkpoint.")
final class InspectCommand implements Callable<Integer> {
    private static final int DEFAULT_TOKENS = 512;

    @Parameters(index = "0", paramLabel = "MODEL", description = "Directory of a checkpoint.")
    Path directory;

    @Option(names = "--tensors", description = "List every tensor.")
    boolean listTensors;

    @Option(names = "--verify", description = "Compute the checksums and compare them.")
    boolean verify;

    @Option(names = "--plot", paramLabel = "FILE.svg",
            description = {"Draw the largest activation of every channel, and of K, before and after smoothing, as the "
                    + "quantizer noted them in the checkpoint.",
                "With one of the three options below, or where nothing was noted: run the model over a text and draw "
                    + "what it has there."})
    Path plot;

    @Option(names = "--original", paramLabel = "DIR",
            description = "With --plot: the unquantized checkpoint that MODEL was made from, drawn as 'before'.")
    Path original;

    @Option(names = "--text", description = "With --plot: a UTF-8 text file; without it a short text of FireQ's own.")
    Path text;

    @Option(names = "--tokens", paramLabel = "N",
            description = "With --plot: most tokens of the text to run. Default: " + DEFAULT_TOKENS + ".")
    Integer maxTokens;

    @Spec
    CommandSpec spec;

    @Override
    public Integer call() throws IOException {
        boolean runs = original != null || text != null || maxTokens != null;
        if (plot == null && runs) {
            throw new ParameterException(spec.commandLine(),
                    "--original, --text and --tokens say what to --plot; name a picture as well.");
        }
        PrintWriter out = spec.commandLine().getOut();
        try (Checkpoint checkpoint = Checkpoint.open(directory)) {
            printConfig(ModelConfig.read(directory), out);
            printFormats(checkpoint, out);
            Optional<QuantizationInfo> quantization = checkpoint.quantization();
            quantization.ifPresent(info -> {
                out.printf(Locale.ROOT, "%nFireQ checkpoint, profile %s, group size %d, KV cache %s in groups of %d%s%n",
                        info.profile(), info.groupSize(), info.kvCache().kind().name().toLowerCase(Locale.ROOT),
                        info.kvCache().groupSize(), info.kvCache().hadamardBlock() == 0 ? ""
                                : ", K in Hadamard blocks of " + info.kvCache().hadamardBlock());
                info.calibration().forEach((key, value) -> out.printf("  %s: %s%n", key, value));
                out.println();
                ErrorTable.print(info.tensors(), out);
            });
            if (listTensors) {
                out.println();
                for (String name : checkpoint.names()) {
                    TensorInfo tensor = checkpoint.info(name);
                    out.printf("%s %s %s%n", name, tensor.dtypeName(), tensor.shape());
                }
            }
            if (verify) {
                checkpoint.verifyChecksums();
                out.println("All checksums match.");
            }
        }
        if (plot != null && (runs || !ActivationPlot.writeStored(directory, plot, out))) {
            new ActivationPlot(directory, original, text, maxTokens == null ? DEFAULT_TOKENS : maxTokens)
                    .write(plot, out);
        }
        return 0;
    }

    private static void printConfig(ModelConfig config, PrintWriter out) {
        out.printf(Locale.ROOT, "%s: %d layers, hidden %,d, ffn %,d, %d heads / %d KV heads of %d, vocabulary %,d%s%n",
                config.architecture(), config.nLayers(), config.hiddenSize(), config.ffnSize(), config.nHeads(),
                config.nKvHeads(), config.headDim(), config.vocabSize(), config.tieEmbeddings() ? ", tied head" : "");
        out.printf(Locale.ROOT, "context %,d tokens, rope theta %,.0f, scaling %s, end tokens %s%n",
                config.maxPositions(), config.ropeTheta(), config.ropeScaling(), Arrays.toString(config.eosIds()));
    }

    private static void printFormats(Checkpoint checkpoint, PrintWriter out) {
        Map<String, long[]> byFormat = new TreeMap<>();
        for (String name : checkpoint.names()) {
            TensorInfo tensor = checkpoint.info(name);
            long[] countAndBytes = byFormat.computeIfAbsent(tensor.dtypeName(), format -> new long[2]);
            countAndBytes[0]++;
            countAndBytes[1] += tensor.byteSize();
        }
        out.printf(Locale.ROOT, "%,d tensors, %,d bytes%n", checkpoint.names().size(), checkpoint.byteSize());
        byFormat.forEach((format, countAndBytes) -> out.printf(Locale.ROOT, "  %-8s %,6d tensors %,16d bytes%n",
                format, countAndBytes[0], countAndBytes[1]));
    }
}
