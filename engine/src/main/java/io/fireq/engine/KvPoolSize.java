package io.fireq.engine;

import io.fireq.engine.api.EngineOptions;
import io.fireq.engine.api.FireqException;
import io.fireq.engine.backend.KvFormat;
import io.fireq.engine.model.ModelConfig;
import java.util.OptionalLong;

/** How many tokens the KV cache holds. */
final class KvPoolSize {
    private static final int DEFAULT_MAX_KV_TOKENS = 32_768;
    /** Scale and zero of a group, f16 each. */
    private static final int PARAM_BYTES = 4;

    private KvPoolSize() {}

    /**
     * What the options say; else what a device with memory of its own has left beside the weights, up to what the running
     * sequences can fill; else a default that suits host memory.
     *
     * @param maxModelLen most tokens of one sequence
     * @param freeBytes   free memory of the device before the model is loaded; empty for the host
     * @param weightBytes what the weights will take of it
     * @throws FireqException if not even one sequence fits beside the weights
     */
    static long tokens(EngineOptions options, int maxModelLen, ModelConfig config, KvFormat format,
            OptionalLong freeBytes, long weightBytes) {
        if (options.kvCacheTokens() > 0) {
            return options.kvCacheTokens();
        }
        if (freeBytes.isEmpty()) {
            return Math.max(maxModelLen, Math.min(4L * maxModelLen, DEFAULT_MAX_KV_TOKENS));
        }
        long budget = (long) (freeBytes.getAsLong() * options.gpuMemoryShare()) - weightBytes;
        long fitting = Math.max(0, budget) / bytesPerToken(config, format);
        if (fitting < maxModelLen) {
            throw new FireqException(("The model does not fit on the GPU: weights of %,d bytes and a KV cache of "
                    + "max-model-len=%,d tokens, %,d bytes, are more than gpu-memory-share=%s of the %,d bytes that are "
                    + "free; lower max-model-len, raise gpu-memory-share, end other programs on the GPU, or set the "
                    + "device to cpu").formatted(weightBytes, maxModelLen, maxModelLen * bytesPerToken(config, format),
                            options.gpuMemoryShare(), freeBytes.getAsLong()));
        }
        long usable = (long) maxModelLen * options.maxRunning();
        return Math.min(Math.min(fitting, usable), Integer.MAX_VALUE - options.kvBlockSize());
    }

    /** Bytes of K and V of one token in all layers. */
    static long bytesPerToken(ModelConfig config, KvFormat format) {
        int vectorBytes = switch (format.kind()) {
            case ASYMMETRIC, SYMMETRIC ->
                (config.headDim() + 1) / 2 + config.headDim() / format.groupSize() * PARAM_BYTES;
            case FLOAT32 -> config.headDim() * Float.BYTES;
        };
        return 2L * config.nLayers() * config.nKvHeads() * vectorBytes;
    }

    /** Whole KV blocks for so many tokens. */
    static int blocks(long tokens, int kvBlockSize) {
        return Math.toIntExact((tokens + kvBlockSize - 1) / kvBlockSize);
    }
}
