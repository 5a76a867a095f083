package io.fireq.spring;

import io.fireq.engine.api.EngineOptions;
import io.fireq.engine.api.Numerics;
import io.fireq.engine.api.SamplingParams;
import io.fireq.langchain4j.FireqChatRequestParameters;
import java.nio.file.Path;
import java.util.List;
import org.springframework.boot.context.properties.ConfigurationProperties;
import org.springframework.boot.context.properties.bind.DefaultValue;
import org.springframework.boot.context.properties.source.InvalidConfigurationPropertyValueException;

/**
 * What {@code application.yml} may say about FireQ. Every property below {@code fireq} must be one of these: an unknown
 * one stops the application.
 *
 * @param model          Directory of a FireQ or Hugging Face checkpoint, or "classpath:" and a directory on the class
 *                       path. Without it, and without an engine bean, FireQ stays out of the application.
 * @param device         Backend to run on. "auto" takes a GPU where there is a usable one, else the CPU; "cuda" makes the
 *                       lack of one an error.
 * @param numerics       Arithmetic: "quantized", or "float32" for reference on an unquantized checkpoint.
 * @param threads        CPU threads. 0 takes all processors.
 * @param cpuKernels     Inner loops of the CPU backend. "auto" takes the Vector API where the JVM has
 *                       jdk.incubator.vector, else plain Java; "vector" makes its absence an error.
 * @param cacheDir       Where quantized Hugging Face checkpoints and extracted class path models are kept. Defaults to
 *                       .cache/fireq in the user's home.
 * @param maxModelLen    Most tokens of prompt and answer together. 0 takes the model's own limit.
 * @param kvCacheTokens  Tokens that the KV cache holds for all sequences together. 0 takes what gpu-memory-share allows on
 *                       a GPU; on the CPU 4 times max-model-len, at most 32768 and never less than max-model-len.
 * @param kvBlockSize    Tokens per KV block.
 * @param maxBatchTokens Most tokens computed in one step; longer prompts are prefilled in chunks of this size;
 *                       0 takes 2048 on a GPU, 512 on the CPU.
 * @param maxRunning     Most sequences in one step; 0 takes 64 on a GPU, 16 on the CPU.
 * @param maxWaiting     Most requests that wait; one more is refused.
 * @param gpuMemoryShare Share of the GPU's free memory that weights and KV cache take together, above 0 and at most 1.
 * @param cudaGraphs     Whether decode steps on the GPU are recorded once per batch size and replayed.
 * @param generation     Parameters of a generation, for requests that do not set them.
 */
@ConfigurationProperties(prefix = FireqProperties.PREFIX, ignoreUnknownFields = false)
public record FireqProperties(
        String model,
        @DefaultValue("auto") EngineOptions.Device device,
        @DefaultValue("quantized") Numerics numerics,
        @DefaultValue("0") int threads,
        @DefaultValue("auto") EngineOptions.CpuKernelChoice cpuKernels,
        Path cacheDir,
        @DefaultValue("0") int maxModelLen,
        @DefaultValue("0") int kvCacheTokens,
        @DefaultValue("16") int kvBlockSize,
        @DefaultValue("0") int maxBatchTokens,
        @DefaultValue("0") int maxRunning,
        @DefaultValue("256") int maxWaiting,
        @DefaultValue("0.85") double gpuMemoryShare,
        @DefaultValue("true") boolean cudaGraphs,
        @DefaultValue Generation generation) {

    static final String PREFIX = "fireq";

    public FireqProperties {
        if (model != null && model.isBlank()) {
            throw new InvalidConfigurationPropertyValueException(PREFIX + ".model", model,
                    "Name a checkpoint directory, or remove the property.");
        }
        cacheDir = cacheDir == null ? EngineOptions.defaultCacheDir() : cacheDir;
        options(model == null ? "none" : model, cacheDir, device, numerics, maxModelLen, kvCacheTokens, kvBlockSize,
                maxBatchTokens, maxRunning, maxWaiting, threads, cpuKernels, gpuMemoryShare, cudaGraphs);
    }

    /** The engine's options that these properties spell. {@link #model} must be set. */
    EngineOptions toEngineOptions() {
        return options(model, cacheDir, device, numerics, maxModelLen, kvCacheTokens, kvBlockSize, maxBatchTokens,
                maxRunning, maxWaiting, threads, cpuKernels, gpuMemoryShare, cudaGraphs);
    }

    /** Also called to check values: the options refuse what is out of range and name it as it is spelled here. */
    private static EngineOptions options(String model, Path cacheDir, EngineOptions.Device device, Numerics numerics,
            int maxModelLen, int kvCacheTokens, int kvBlockSize, int maxBatchTokens, int maxRunning, int maxWaiting,
            int threads, EngineOptions.CpuKernelChoice cpuKernels, double gpuMemoryShare, boolean cudaGraphs) {
        return EngineOptions.builder(model)
                .cacheDir(cacheDir)
                .device(device)
                .numerics(numerics)
                .maxModelLen(maxModelLen)
                .kvCacheTokens(kvCacheTokens)
                .kvBlockSize(kvBlockSize)
                .maxBatchTokens(maxBatchTokens)
                .maxRunning(maxRunning)
                .maxWaiting(maxWaiting)
                .threads(threads)
                .cpuKernels(cpuKernels)
                .gpuMemoryShare(gpuMemoryShare)
                .cudaGraphs(cudaGraphs)
                .build();
    }

    /**
     * Parameters of a generation. Whatever is not set is what the model's generation_config.json recommends, or off.
     *
     * @param temperature       0 always takes the most likely token; above, logits are divided by it.
     * @param topP              Keep the most likely tokens whose probabilities reach this sum, above 0 and at most 1.
     * @param topK              Keep this many of the most likely tokens. 0 keeps all.
     * @param minP              Drop tokens less likely than this share of the most likely one, 0 or more and below 1.
     * @param repetitionPenalty Divides the positive logits of tokens seen in prompt or answer, multiplies the negative
     *                          ones. 1 is off.
     * @param presencePenalty   Subtracted from the logit of every token that the answer already holds.
     * @param frequencyPenalty  Subtracted from a logit once for each time the answer holds its token.
     * @param maxOutputTokens   Most tokens of an answer. Unset, as many as fit into the context.
     * @param stopSequences     An answer ends before any of these texts.
     * @param seed              Same seed and request give the same answer. Unset, every request draws its own.
     */
    public record Generation(Double temperature, Double topP, Integer topK, Double minP, Double repetitionPenalty,
            Double presencePenalty, Double frequencyPenalty, Integer maxOutputTokens,
            @DefaultValue List<String> stopSequences, Long seed) {

        public Generation {
            stopSequences = List.copyOf(stopSequences);
            SamplingParams off = SamplingParams.GREEDY;
            new SamplingParams(or(temperature, off.temperature()), topK == null ? off.topK() : topK,
                    or(topP, off.topP()), or(minP, off.minP()), or(repetitionPenalty, off.repetitionPenalty()),
                    or(presencePenalty, off.presencePenalty()), or(frequencyPenalty, off.frequencyPenalty()),
                    off.seed());
            if (maxOutputTokens != null && maxOutputTokens < 1) {
                throw new IllegalArgumentException(
                        "Generation: max-output-tokens is %d; it must be 1 or more, or unset for no limit"
                                .formatted(maxOutputTokens));
            }
            if (stopSequences.stream().anyMatch(String::isEmpty)) {
                throw new IllegalArgumentException("Generation: one of stop-sequences is empty; remove it");
            }
        }

        private static float or(Double value, float fallback) {
            return value == null ? fallback : value.floatValue();
        }

        FireqChatRequestParameters toRequestParameters() {
            return FireqChatRequestParameters.builder()
                    .temperature(temperature)
                    .topP(topP)
                    .topK(topK)
                    .minP(minP)
                    .repetitionPenalty(repetitionPenalty)
                    .presencePenalty(presencePenalty)
                    .frequencyPenalty(frequencyPenalty)
                    .maxOutputTokens(maxOutputTokens)
                    .stopSequences(stopSequences)
                    .seed(seed)
                    .build();
        }
    }
}
