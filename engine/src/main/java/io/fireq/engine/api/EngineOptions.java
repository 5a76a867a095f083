package io.fireq.engine.api;

import java.nio.file.Path;
import java.util.Objects;

/**
 * What to load and how to run it. Defaults suit one machine that serves one model.
 *
 * @param model        directory of a FireQ or Hugging Face checkpoint, or {@code classpath:directory}
 * @param cacheDir     where a Hugging Face checkpoint is kept once quantized, and class path models once extracted
 * @param device       which backend
 * @param numerics     quantized, or float32 for reference
 * @param maxModelLen  most tokens of prompt and answer; 0 takes the model's own limit
 * @param kvCacheTokens tokens that the KV cache holds, for all sequences together; 0 takes what gpuMemoryShare allows on a
 *                     GPU, and 4 × maxModelLen, at most 32768 and never less than maxModelLen, on the CPU
 * @param kvBlockSize  tokens per KV block
 * @param maxBatchTokens most token rows of one step: prompts are prefilled in chunks of this size; 0 takes 2048 on a GPU
 *                     and 512 on the CPU
 * @param maxRunning   most sequences in one step; 0 takes 64 on a GPU and 16 on the CPU
 * @param maxWaiting   most requests that wait; one more is refused
 * @param threads      CPU threads; 0 takes all processors
 * @param cpuKernels   which inner loops the CPU backend uses
 * @param gpuMemoryShare share of the GPU's free memory that weights and KV cache may take together, above 0 and at most 1;
 *                     it matters where kvCacheTokens is 0: the KV cache then takes what the weights leave of it, but no
 *                     more than maxRunning sequences of maxModelLen tokens fill
 * @param cudaGraphs   whether decode steps on the GPU are recorded once per batch size and replayed
 */
public record EngineOptions(String model, Path cacheDir, Device device, Numerics numerics, int maxModelLen,
        int kvCacheTokens, int kvBlockSize, int maxBatchTokens, int maxRunning, int maxWaiting, int threads,
        CpuKernelChoice cpuKernels, double gpuMemoryShare, boolean cudaGraphs) {

    /** Which backend to use. */
    public enum Device {
        /** A GPU where there is a usable one, else the CPU; the choice and its reason are logged. */
        AUTO,
        CPU,
        /** A GPU, or an error that says why there is none. */
        CUDA
    }

    /** Which inner loops the CPU backend uses. */
    public enum CpuKernelChoice {
        /** The Vector API where the JVM has {@code jdk.incubator.vector}, else plain Java. */
        AUTO,
        PLAIN,
        /** The Vector API, or an error that names the missing flag. */
        VECTOR
    }

    public EngineOptions {
        Objects.requireNonNull(model, "model");
        if (model.isBlank()) {
            throw new IllegalArgumentException("Engine options: the model is blank; name a checkpoint directory");
        }
        require(maxModelLen >= 0, "max-model-len", maxModelLen, "0 or more");
        require(kvCacheTokens >= 0, "kv-cache-tokens", kvCacheTokens, "0 or more");
        require(kvBlockSize >= 1 && kvBlockSize <= 256, "kv-block-size", kvBlockSize, "1 to 256");
        require(maxBatchTokens >= 0, "max-batch-tokens", maxBatchTokens, "0 or more");
        require(maxRunning >= 0, "max-running", maxRunning, "0 or more");
        require(maxWaiting >= 1, "max-waiting", maxWaiting, "1 or more");
        require(threads >= 0, "threads", threads, "0 or more");
        if (!(gpuMemoryShare > 0 && gpuMemoryShare <= 1)) {
            throw new IllegalArgumentException("Engine options: gpu-memory-share is %s; it must be above 0 and at most 1"
                    .formatted(gpuMemoryShare));
        }
    }

    /** These options with numbers in the place of zeros that depend on the device. */
    public EngineOptions resolved(boolean onGpu) {
        return new EngineOptions(model, cacheDir, device, numerics, maxModelLen, kvCacheTokens, kvBlockSize,
                maxBatchTokens > 0 ? maxBatchTokens : onGpu ? 2048 : 512, maxRunning > 0 ? maxRunning : onGpu ? 64 : 16,
                maxWaiting, threads, cpuKernels, gpuMemoryShare, cudaGraphs);
    }

    private static void require(boolean holds, String name, int actual, String required) {
        if (!holds) {
            throw new IllegalArgumentException(
                    "Engine options: %s is %d; it must be %s".formatted(name, actual, required));
        }
    }

    /** Defaults for this model. */
    public static EngineOptions of(String model) {
        return new Builder(model).build();
    }

    public static Builder builder(String model) {
        return new Builder(model);
    }

    /** Where FireQ keeps files between runs, unless told otherwise. */
    public static Path defaultCacheDir() {
        return Path.of(System.getProperty("user.home"), ".cache", "fireq");
    }

    /** Collects options; unset ones keep their defaults. */
    public static final class Builder {
        private final String model;
        private Path cacheDir = defaultCacheDir();
        private Device device = Device.AUTO;
        private Numerics numerics = Numerics.QUANTIZED;
        private int maxModelLen;
        private int kvCacheTokens;
        private int kvBlockSize = 16;
        private int maxBatchTokens;
        private int maxRunning;
        private int maxWaiting = 256;
        private int threads;
        private CpuKernelChoice cpuKernels = CpuKernelChoice.AUTO;

        private double gpuMemoryShare = 0.85;
        private boolean cudaGraphs = true;

        private Builder(String model) {
            this.model = model;
        }

        public Builder cacheDir(Path value) {
            cacheDir = value;
            return this;
        }

        public Builder device(Device value) {
            device = value;
            return this;
        }

        public Builder numerics(Numerics value) {
            numerics = value;
            return this;
        }

        public Builder maxModelLen(int value) {
            maxModelLen = value;
            return this;
        }

        public Builder kvCacheTokens(int value) {
            kvCacheTokens = value;
            return this;
        }

        public Builder kvBlockSize(int value) {
            kvBlockSize = value;
            return this;
        }

        public Builder maxBatchTokens(int value) {
            maxBatchTokens = value;
            return this;
        }

        public Builder maxRunning(int value) {
            maxRunning = value;
            return this;
        }

        public Builder maxWaiting(int value) {
            maxWaiting = value;
            return this;
        }

        public Builder threads(int value) {
            threads = value;
            return this;
        }

        public Builder cpuKernels(CpuKernelChoice value) {
            cpuKernels = value;
            return this;
        }

        public Builder gpuMemoryShare(double value) {
            gpuMemoryShare = value;
            return this;
        }

        public Builder cudaGraphs(boolean value) {
            cudaGraphs = value;
            return this;
        }

        public EngineOptions build() {
            return new EngineOptions(model, cacheDir, device, numerics, maxModelLen, kvCacheTokens, kvBlockSize,
                    maxBatchTokens, maxRunning, maxWaiting, threads, cpuKernels, gpuMemoryShare,
                    cudaGraphs);
        }
    }
}
