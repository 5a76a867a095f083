package io.fireq.cli;

import io.fireq.engine.FireqEngines;
import io.fireq.engine.api.EngineOptions;
import io.fireq.engine.api.FireqException;
import io.fireq.engine.backend.Backend;
import io.fireq.engine.bench.Baselines;
import io.fireq.engine.bench.BenchReport;
import io.fireq.engine.bench.ForwardBench;
import io.fireq.engine.bench.ForwardBench.Workload;
import io.fireq.engine.bench.KernelBench;
import io.fireq.engine.bench.Machine;
import io.fireq.engine.bench.ModelShapes;
import io.fireq.engine.bench.Part;
import io.fireq.engine.model.ModelConfig;
import io.fireq.engine.runtime.LoadedModel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

@Command(name = "bench", mixinStandardHelpOptions = true,
        description = {"Measures a checkpoint, or a named shape with random weights: on a GPU the operations of its layers "
            + "alone, then prefill and decode; on the CPU prefill and decode.",
            "Prints a table and one JSON line. Times are medians beside their 10th and 90th percentile. Operations are "
                + "verified before they are timed, on the device's clock, on weights and caches beyond its cache; roof is "
                + "the share of what the device can do at most."})
final class BenchCommand implements Callable<Integer> {
    private static final int[] GPU_TOKENS = {1, 16, 64, 256, 1024, 4096, 16_384};
    private static final int[] CPU_TOKENS = {1, 16};
    private static final int[] ROWS = {1, 64, 16_384};
    private static final int[] HEAD_ROWS = {1, 16, 64};
    private static final List<Workload> GPU_PREFILL = workloads("16x1024,16x4096,1x4096,1x1024");
    private static final List<Workload> GPU_DECODE = workloads("1x1024,16x1024,64x1024,128x1024");
    private static final List<Workload> GPU_PREFILL_ATTENTION = workloads("16x1024,1x2048,4x4096,1x8192,1x32768");
    private static final List<Workload> GPU_DECODE_ATTENTION =
            workloads("1x1024,1x4096,16x1024,16x4096,64x1024,64x4096");
    private static final int GPU_MAX_BATCH_TOKENS = 16_384;
    private static final int CPU_MAX_BATCH_TOKENS = 512;
    private static final int GPU_STEPS = 64;
    private static final int CPU_STEPS = 32;
    private static final int GPU_MAX_SECONDS = 150;

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

    @Option(names = "--cuda-graphs", negatable = true, defaultValue = "true", fallbackValue = "true",
            description = "Record decode steps on the GPU and replay them. Default: yes.")
    boolean cudaGraphs;

    @Option(names = "--only", split = ",", paramLabel = "PART",
            description = "Only these parts: ${COMPLETION-CANDIDATES}.")
    Set<Part> only = Set.of();

    @Option(names = "--prefill", split = ",", paramLabel = "BxS", converter = WorkloadConverter.class,
            description = "Prompts times tokens, such as 16x1024. Default: a set on a GPU, 1x256 on the CPU.")
    List<Workload> prefill = List.of();

    @Option(names = "--decode", split = ",", paramLabel = "BxS", converter = WorkloadConverter.class,
            description = "Sequences times tokens of context, such as 64x1024. Default: a set on a GPU, 1x256 on the CPU.")
    List<Workload> decode = List.of();

    @Option(names = {"-p", "--prompt"}, description = "Tokens per prompt; with -b the one workload to measure.")
    Integer promptLen;

    @Option(names = {"-b", "--batch"}, description = "Sequences; with -p the one workload to measure.")
    Integer nSeqs;

    @Option(names = {"-n", "--steps"}, defaultValue = "-1",
            description = "Decode steps to measure; 0 measures none. Default: " + GPU_STEPS + " on a GPU, " + CPU_STEPS
                    + " on the CPU.")
    int nSteps;

    @Option(names = "--gemm-tokens", split = ",", paramLabel = "M",
            description = "Numbers of tokens of the linear layers. Default: 1 to 16384 on a GPU, 1 and 16 on the CPU.")
    int[] gemmTokens = {};

    @Option(names = "--max-batch-tokens", defaultValue = "0",
            description = "Most tokens of one step; longer prompts are prefilled in chunks. Default: "
                    + GPU_MAX_BATCH_TOKENS + " on a GPU, " + CPU_MAX_BATCH_TOKENS + " on the CPU.")
    int maxBatchTokens;

    @Option(names = {"-r", "--repetitions"}, defaultValue = "3",
            description = "Measured prefills of each workload. Default: ${DEFAULT-VALUE}.")
    int repetitions;

    @Option(names = "--millis", defaultValue = "100",
            description = "Time to spend on each operation. Default: ${DEFAULT-VALUE}.")
    double millis;

    @Option(names = "--max-seconds", defaultValue = "-1",
            description = "Begin nothing new after so long, and say what was left out; 0 is without limit. Default: "
                    + GPU_MAX_SECONDS + " on a GPU, 0 on the CPU.")
    int maxSeconds;

    @Option(names = "--compare", description = "Also run cuBLAS, cuBLASLt and cuDNN on the same shapes; needs Python with torch.")
    boolean compare;

    @Option(names = "--python", defaultValue = "python3", description = "Starts that Python. Default: ${DEFAULT-VALUE}.")
    String python;

    @Option(names = "--commit", description = "Recorded with the numbers; found by git where this is its checkout.")
    String commit;

    @Spec
    CommandSpec spec;

    private final long start = System.nanoTime();
    private BenchReport report;
    private boolean onGpu;
    private boolean failed;

    @Override
    public Integer call() {
        if ((model == null) == (synthetic == null)) {
            throw new ParameterException(spec.commandLine(), "Give either a MODEL or --synthetic, not both or neither.");
        }
        ModelConfig config = synthetic == null ? FireqEngines.config(options().build()) : ModelShapes.named(synthetic);
        String name = synthetic == null ? Path.of(model).normalize().getFileName().toString() : synthetic;
        try (Backend backend = FireqEngines.openBackend(options().cudaGraphs(false).build())) {
            onGpu = backend.hardware().isPresent();
            report = new BenchReport(spec.commandLine().getOut(), Machine.here(backend, commit), backend.hardware(),
                    synthetic == null ? name : name + ", random weights");
            kernels(config, backend);
        }
        endToEnd(config);
        Optional<Baselines> baselines = compare
                ? Optional.of(Baselines.run(python, config, report.lines(), millis))
                : Optional.empty();
        baselines.ifPresent(found -> report.compare(name, found));
        report.finish(baselines);
        return failed ? 1 : 0;
    }

    private EngineOptions.Builder options() {
        return EngineOptions.builder(model == null ? synthetic : model).device(device).threads(threads)
                .cpuKernels(cpuKernels).cudaGraphs(cudaGraphs);
    }

    private boolean has(Part part) {
        return only.isEmpty() ? onGpu || !part.isKernels() : only.contains(part);
    }

    private void kernels(ModelConfig config, Backend backend) {
        if (Stream.of(Part.values()).noneMatch(part -> part.isKernels() && has(part))) {
            return;
        }
        try (Backend reference = onGpu
                ? FireqEngines.openBackend(options().device(EngineOptions.Device.CPU).build())
                : null) {
            KernelBench bench = new KernelBench(config, backend, reference, millis, this::hasTime, report::add);
            if (has(Part.GEMM)) {
                attempt(() -> bench.gemm(gemmTokens.length > 0 ? gemmTokens : onGpu ? GPU_TOKENS : CPU_TOKENS));
            }
            if (has(Part.ATTENTION)) {
                attempt(() -> bench.prefillAttention(chosen(prefill, GPU_PREFILL_ATTENTION)));
                attempt(() -> bench.decodeAttention(chosen(decode, GPU_DECODE_ATTENTION)));
            }
            if (has(Part.ROWS)) {
                attempt(() -> bench.rows(onGpu ? ROWS : CPU_TOKENS));
                attempt(() -> bench.head(onGpu ? HEAD_ROWS : CPU_TOKENS));
            }
        }
    }

    private void endToEnd(ModelConfig config) {
        int steps = nSteps >= 0 ? nSteps : onGpu ? GPU_STEPS : CPU_STEPS;
        List<Workload> prompts = has(Part.PREFILL) ? chosen(prefill, GPU_PREFILL) : List.of();
        List<Workload> contexts = has(Part.DECODE) && steps > 0 ? chosen(decode, GPU_DECODE) : List.of();
        int wanted = maxBatchTokens > 0 ? maxBatchTokens : onGpu ? GPU_MAX_BATCH_TOKENS : CPU_MAX_BATCH_TOKENS;
        int chunk = Math.max(wanted, 2 * Math.max(most(prompts, Workload::nSeqs), most(contexts, Workload::nSeqs)));
        prompts = fitting(prompts, w -> w.maxLen(0, chunk), config);
        contexts = fitting(contexts, w -> w.maxLen(steps, chunk), config);
        if (prompts.isEmpty() && contexts.isEmpty() || !hasTime("prefill and decode")) {
            return;
        }
        int kvBlockSize = EngineOptions.of("any").kvBlockSize();
        EngineOptions options = options()
                .kvCacheTokens(Math.max(most(prompts, w -> w.kvTokens(0, chunk, kvBlockSize)),
                        most(contexts, w -> w.kvTokens(steps, chunk, kvBlockSize))))
                .maxBatchTokens(chunk)
                .build();
        try (LoadedModel loaded = synthetic == null
                ? FireqEngines.load(options)
                : FireqEngines.loadSynthetic(synthetic, options)) {
            ForwardBench bench =
                    new ForwardBench(loaded.model(), loaded.backend(), loaded.limits(), Interruption::check);
            prompts.stream().filter(w -> hasTime("prefill " + w))
                    .forEach(w -> attempt(() -> report.add(bench.prefill(w, repetitions))));
            contexts.stream().filter(w -> hasTime("decode " + w))
                    .forEach(w -> attempt(() -> report.add(bench.decode(w, steps))));
        }
    }

    private interface Length {
        int of(Workload workload);
    }

    private static int most(List<Workload> workloads, Length length) {
        return workloads.stream().mapToInt(length::of).max().orElse(1);
    }

    private List<Workload> fitting(List<Workload> workloads, Length maxLen, ModelConfig config) {
        List<Workload> fitting = new ArrayList<>();
        for (Workload workload : workloads) {
            if (maxLen.of(workload) <= config.maxPositions()) {
                fitting.add(workload);
            } else {
                report.leaveOut("%s, which is beyond the model's %,d positions".formatted(workload, config.maxPositions()));
            }
        }
        return fitting;
    }

    /** What the user asked for, or the default. */
    private List<Workload> chosen(List<Workload> given, List<Workload> onGpus) {
        if (promptLen != null || nSeqs != null) {
            return List.of(new Workload(nSeqs == null ? 1 : nSeqs, promptLen == null ? 256 : promptLen));
        }
        return !given.isEmpty() ? given : onGpu ? onGpus : List.of(new Workload(1, 256));
    }

    private boolean hasTime(String line) {
        Interruption.check();
        int limit = maxSeconds >= 0 ? maxSeconds : onGpu ? GPU_MAX_SECONDS : 0;
        boolean has = limit == 0 || System.nanoTime() - start < limit * 1_000_000_000L;
        if (!has) {
            report.leaveOut(line);
        }
        return has;
    }

    /** One part's failure is reported and leaves the others. */
    private void attempt(Runnable part) {
        try {
            part.run();
        } catch (FireqException | IllegalStateException e) {
            failed = true;
            spec.commandLine().getErr().println("fireq: " + e.getMessage());
        }
    }

    private static List<Workload> workloads(String list) {
        return Arrays.stream(list.split(",")).map(new WorkloadConverter()::convert).toList();
    }

    /** Reads {@code 16x1024}. */
    static final class WorkloadConverter implements ITypeConverter<Workload> {
        @Override
        public Workload convert(String text) {
            String[] parts = text.split("x", -1);
            try {
                if (parts.length == 2) {
                    return new Workload(Integer.parseInt(parts[0].strip()), Integer.parseInt(parts[1].strip()));
                }
            } catch (NumberFormatException notTwoNumbers) {
                // said below
            }
            throw new IllegalArgumentException("'%s' is not SEQUENCESxTOKENS, such as 16x1024".formatted(text));
        }
    }

    /** For help and completion. */
    static final class ShapeNames implements Iterable<String> {
        @Override
        public Iterator<String> iterator() {
            return ModelShapes.all().keySet().iterator();
        }
    }
}
