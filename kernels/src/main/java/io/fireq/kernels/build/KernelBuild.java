package io.fireq.kernels.build;

import io.fireq.kernels.catalog.CubinIndex;
import io.fireq.kernels.catalog.KernelInfo;
import io.fireq.kernels.catalog.KernelSpec;
import io.fireq.kernels.jit.CompileReport;
import io.fireq.kernels.jit.CompiledKernel;
import io.fireq.kernels.jit.CubinCache;
import io.fireq.kernels.jit.KernelSource;
import io.fireq.kernels.jit.NvrtcCompiler;
import io.fireq.kernels.jit.NvrtcLibrary;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Collectors;

/**
 * The step of the build that makes cubins: compiles every kernel whose source changed.
 *
 * @param sources         folders that include names start from
 * @param classes         folder whose cubins are brought up to date
 * @param libraries       folder to unpack NVRTC's libraries to
 * @param compilerVersion NVRTC's version
 */
record KernelBuild(List<Path> sources, Path classes, Path libraries, String compilerVersion) {

    /** Arguments: folder of the sources, folder of the classes, folder for NVRTC's libraries, NVRTC's version. */
    public static void main(String[] args) throws Exception {
        if (args.length != 4) {
            System.err.println("KernelBuild: got " + args.length
                    + " arguments, required 4: source folder, class folder, library folder, compiler version");
            System.exit(2);
        }
        if (!NvrtcLibrary.isAvailable()) {
            System.out.printf("No NVRTC for %s %s: this build has no cubins, so it runs on the CPU only%n",
                    System.getProperty("os.name"), System.getProperty("os.arch"));
            return;
        }
        Path classes = Path.of(args[1]);
        NvrtcLibrary.unpack(NvrtcLibrary.CUDART, classes.resolve(NvrtcLibrary.CUDART));
        new KernelBuild(List.of(Path.of(args[0])), classes, Path.of(args[2]), args[3])
                .runOrExit(KernelManifest.kernels());
    }

    /** Compiles what changed, or ends this process with the compiler's findings. */
    void runOrExit(List<KernelSpec> specs) throws InterruptedException {
        try {
            run(specs);
        } catch (IOException e) {
            System.err.println(e.getMessage());
            System.exit(1);
        }
    }

    private void run(List<KernelSpec> specs) throws IOException, InterruptedException {
        CubinCache cache = new CubinCache(classes.resolve(CubinIndex.FOLDER));
        Map<KernelSpec, KernelInfo> kernels = new LinkedHashMap<>();
        Map<KernelSpec, KernelSource> changed = new LinkedHashMap<>();
        for (KernelSpec spec : specs) {
            KernelSource source = KernelSource.read(sources, spec);
            cache.upToDate(spec.id(), hash(source))
                    .ifPresentOrElse(info -> kernels.put(spec, info), () -> changed.put(spec, source));
        }
        List<String> errors = new ArrayList<>();
        if (changed.isEmpty() && !cache.hasOthersThan(specs.stream().map(KernelSpec::id).collect(Collectors.toSet()))) {
            System.out.printf("All %d cubins are up to date%n", specs.size());
        } else {
            long start = System.nanoTime();
            Map<KernelSpec, CompiledKernel> compiled = compile(changed, errors);
            compiled.forEach((spec, kernel) -> kernels.put(spec, kernel.info()));
            cache.store(compiled.values(), kernels.values());
            System.out.print(CompileReport.table(specs.stream().map(kernels::get).filter(Objects::nonNull).toList()));
            System.out.printf("Compiled %d of %d kernels for %s in %.1f s%n", compiled.size(), specs.size(),
                    CubinIndex.ARCHITECTURE, (System.nanoTime() - start) * 1e-9);
        }
        errors.addAll(CompileReport.spillsInHotKernels(kernels));
        if (!errors.isEmpty()) {
            throw new IOException(String.join("\n", errors));
        }
    }

    private Map<KernelSpec, CompiledKernel> compile(Map<KernelSpec, KernelSource> changed, List<String> errors)
            throws InterruptedException {
        NvrtcCompiler compiler = new NvrtcCompiler(libraries, sources);
        ExecutorService workers = Executors.newFixedThreadPool(Runtime.getRuntime().availableProcessors());
        try {
            Map<KernelSpec, Future<CompiledKernel>> running = new LinkedHashMap<>();
            changed.forEach((spec, source) ->
                    running.put(spec, workers.submit(() -> compiler.compile(spec.id(), source, hash(source)))));
            Map<KernelSpec, CompiledKernel> compiled = new LinkedHashMap<>();
            for (var entry : running.entrySet()) {
                try {
                    CompiledKernel kernel = entry.getValue().get();
                    if (!kernel.findings().isEmpty()) {
                        System.out.println(kernel.findings());
                    }
                    compiled.put(entry.getKey(), kernel);
                } catch (ExecutionException e) {
                    errors.add(String.valueOf(e.getCause().getMessage()));
                }
            }
            return compiled;
        } finally {
            workers.shutdown();
        }
    }

    private String hash(KernelSource source) {
        return source.hash(compilerVersion, NvrtcCompiler.OPTIONS);
    }
}
