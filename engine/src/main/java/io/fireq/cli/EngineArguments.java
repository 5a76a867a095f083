package io.fireq.cli;

import io.fireq.engine.api.EngineOptions;
import io.fireq.engine.api.Numerics;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** The arguments of every command that loads a model. */
final class EngineArguments {
    @Parameters(index = "0", paramLabel = "MODEL", description = "Directory of a FireQ or Hugging Face checkpoint.")
    String model;

    @Option(names = "--device", defaultValue = "auto", description = "auto, cpu or cuda. Default: ${DEFAULT-VALUE}.")
    EngineOptions.Device device;

    @Option(names = "--float32", description = "Run the unquantized weights in float32, for reference.")
    boolean float32;

    @Option(names = "--threads", defaultValue = "0", description = "CPU threads; 0 takes all processors.")
    int threads;

    @Option(names = "--cpu-kernels", defaultValue = "auto",
            description = "auto, plain or vector (the Vector API). Default: ${DEFAULT-VALUE}.")
    EngineOptions.CpuKernelChoice cpuKernels;

    @Option(names = "--max-model-len", defaultValue = "0",
            description = "Most tokens of prompt and answer; 0 takes the model's own limit.")
    int maxModelLen;

    @Option(names = "--gpu-memory-share", defaultValue = "0.85",
            description = "Share of the GPU's free memory for weights and KV cache. Default: ${DEFAULT-VALUE}.")
    double gpuMemoryShare;

    @Option(names = "--cuda-graphs", negatable = true, defaultValue = "true", fallbackValue = "true",
            description = "Record decode steps on the GPU and replay them. Default: yes.")
    boolean cudaGraphs;

    EngineOptions.Builder toOptions() {
        return EngineOptions.builder(model)
                .device(device)
                .numerics(float32 ? Numerics.FLOAT32 : Numerics.QUANTIZED)
                .threads(threads)
                .cpuKernels(cpuKernels)
                .maxModelLen(maxModelLen)
                .gpuMemoryShare(gpuMemoryShare)
                .cudaGraphs(cudaGraphs);
    }
}
