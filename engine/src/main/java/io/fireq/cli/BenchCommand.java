package io.fireq.cli;

import io.fireq.engine.FireqEngines;
import io.fireq.engine.api.EngineOptions;
import io.fireq.engine.bench.ForwardBench;
import io.fireq.engine.bench.ModelShapes;
import io.fireq.engine.runtime.LoadedModel;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

@Command(name = "bench", mixinStandardHelpOptions = true,
        description = {"Measures prefill and decode speed of a checkpoint, or of a named shape with random weights.",
            "Prints a table and one JSON line; medians over the repetitions, after one warm-up."})
final class BenchCommand implements Callable<Integer> {
    @Parameters(index = "0", arity = "0..1", paramLabel = "MODEL", description = "Directory of a checkpoint.")
    String model;

    @Option(names = "--synthetic", description = "Random weights of this shape instead: ${COMPLETION-CANDIDATES}.",
            completionCandidates = ShapeNames.class)
    String synthetic;

    @Option(names = "--device", defaultValue = "auto", description = "auto, cpu or cuda. Default: ${DEFAULT-VALUE}.")
    EngineOptions.Device device;

    @Option(names = "--threads", defaultValue = "0", description = "CPU threads; 0 takes all processors.")
    int threads;

    @Option(names = "--cpu-kernels", defaultValue = "auto", description = "auto, plain or vector.")
    EngineOptions.CpuKernelChoice cpuKernels;

    @Option(names = "--cuda-graphs", description = "Record decode steps on the GPU and replay them.")
    boolean cudaGraphs;

    @Option(names = "--max-batch-tokens", defaultValue = "512",
            description = "Most tokens of one step; longer prompts are prefilled in chunks. Default: ${DEFAULT-VALUE}.")
    int maxBatchTokens;

    @Option(names = {"-p", "--prompt"}, defaultValue = "256",
            description = "Tokens per prompt. Default: ${DEFAULT-VALUE}.")
    int promptLen;

    @Option(names = {"-n", "--decode"}, defaultValue = "32",
            description = "Decode steps; 0 measures prefill only. Default: ${DEFAULT-VALUE}.")
    int nDecode;

    @Option(names = {"-b", "--batch"}, defaultValue = "1", description = "Sequences. Default: ${DEFAULT-VALUE}.")
    int nSeqs;

    @Option(names = {"-r", "--repetitions"}, defaultValue = "3",
            description = "Measured runs. Default: ${DEFAULT-VALUE}.")
    int repetitions;

    @Spec
    CommandSpec spec;

    @Override
    public Integer call() throws IOException {
        if ((model == null) == (synthetic == null)) {
            throw new ParameterException(spec.commandLine(), "Give either a MODEL or --synthetic, not both or neither.");
        }
        ForwardBench.Workload workload = new ForwardBench.Workload(nSeqs, promptLen, nDecode);
        EngineOptions defaults = EngineOptions.of("synthetic");
        int kvTokens = ForwardBench.kvBlocks(workload, defaults.kvBlockSize()) * defaults.kvBlockSize();
        EngineOptions options = EngineOptions.builder(model == null ? synthetic : model)
                .device(device).threads(threads).cpuKernels(cpuKernels).cudaGraphs(cudaGraphs)
                .kvCacheTokens(kvTokens)
                .maxModelLen(promptLen + nDecode)
                .maxBatchTokens(Math.max(maxBatchTokens, nSeqs))
                .build();
        PrintWriter out = spec.commandLine().getOut();
        try (LoadedModel loaded = model == null
                ? FireqEngines.loadSynthetic(synthetic, options)
                : FireqEngines.load(options)) {
            out.printf("machine  %s%n", machine());
            out.printf("backend  %s%n", loaded.backend().description());
            out.printf(Locale.ROOT, "model    %s, %s, %,d MB of weights%n", loaded.info().name(),
                    loaded.info().quantization(), loaded.info().weightBytes() >> 20);
            out.flush();
            ForwardBench.Result result = new ForwardBench(loaded.model(), loaded.limits())
                    .run(workload, repetitions, Interruption::check);
            print(result, loaded, out);
        }
        return 0;
    }

    private void print(ForwardBench.Result result, LoadedModel loaded, PrintWriter out) {
        out.printf(Locale.ROOT, "%n%-26s %12s %12s%n", "", "tok/s", "ms");
        out.printf(Locale.ROOT, "%-26s %12.1f %12.1f%n", "prefill %d × %d".formatted(nSeqs, promptLen),
                result.prefillTokensPerSecond(), result.prefillMillis());
        if (nDecode > 0) {
            out.printf(Locale.ROOT, "%-26s %12.1f %12.1f%n", "decode %d × %d".formatted(nSeqs, nDecode),
                    result.decodeTokensPerSecond(), 1e3 * nSeqs / result.decodeTokensPerSecond());
        }
        out.printf(Locale.ROOT,
                "%n{\"model\":\"%s\",\"backend\":\"%s\",\"machine\":\"%s\",\"n_seqs\":%d,\"prompt_len\":%d,"
                        + "\"n_decode\":%d,\"prefill_tok_s\":%.2f,\"decode_tok_s\":%.2f,\"repetitions\":%d}%n",
                loaded.info().name(), loaded.backend().description(), machine(), nSeqs, promptLen, nDecode,
                result.prefillTokensPerSecond(), result.decodeTokensPerSecond(), repetitions);
    }

    private static String machine() {
        return "%s, %d processors, %s %s, Java %s (%s)".formatted(cpuModel(),
                Runtime.getRuntime().availableProcessors(), System.getProperty("os.name"),
                System.getProperty("os.arch"), System.getProperty("java.version"), System.getProperty("java.vm.name"));
    }

    private static String cpuModel() {
        Path cpuInfo = Path.of("/proc/cpuinfo");
        try {
            return Files.readAllLines(cpuInfo).stream().filter(line -> line.startsWith("model name")).findFirst()
                    .map(line -> line.substring(line.indexOf(':') + 1).strip()).orElse("unknown CPU");
        } catch (IOException notLinux) {
            return "unknown CPU";
        }
    }

    /** For help and completion. */
    static final class ShapeNames implements Iterable<String> {
        @Override
        public java.util.Iterator<String> iterator() {
            return ModelShapes.all().keySet().iterator();
        }
    }
}
