package io.fireq.engine.bench;

import io.fireq.engine.model.ModelConfig;
import io.fireq.engine.model.RopeScaling;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.OptionalInt;

/** Hyper-parameters of well-known Llamas, for benchmarks with random weights. */
public final class ModelShapes {
    private static final Map<String, ModelConfig> BY_NAME = new LinkedHashMap<>();

    static {
        RopeScaling llama32 = new RopeScaling.Llama3(32, 1, 4, 8192);
        add("ember-29m", 512, 1536, 8, 8, 4, 64, 8192, 2048, 500_000, new RopeScaling.None(), true);
        add("llama3.2-1b", 2048, 8192, 16, 32, 8, 64, 128_256, 131_072, 500_000, llama32, true);
        add("llama3.2-3b", 3072, 8192, 28, 24, 8, 128, 128_256, 131_072, 500_000, llama32, true);
        add("llama3-8b", 4096, 14_336, 32, 32, 8, 128, 128_256, 8192, 500_000, new RopeScaling.None(), false);
        add("llama2-7b", 4096, 11_008, 32, 32, 32, 128, 32_000, 4096, 10_000, new RopeScaling.None(), false);
    }

    private ModelShapes() {}

    private static void add(String name, int hiddenSize, int ffnSize, int nLayers, int nHeads, int nKvHeads,
            int headDim, int vocabSize, int maxPositions, double ropeTheta, RopeScaling scaling, boolean tied) {
        BY_NAME.put(name, new ModelConfig("LlamaForCausalLM", hiddenSize, ffnSize, nLayers, nHeads, nKvHeads, headDim,
                vocabSize, maxPositions, 1e-5f, ropeTheta, scaling, tied, OptionalInt.empty(), new int[0]));
    }

    /** All shapes by name, smallest first. */
    public static Map<String, ModelConfig> all() {
        return Collections.unmodifiableMap(BY_NAME);
    }

    /**
     * @throws IllegalArgumentException if there is no shape of this name
     */
    public static ModelConfig named(String name) {
        ModelConfig config = BY_NAME.get(name);
        if (config == null) {
            throw new IllegalArgumentException("No model shape '%s'; there are %s".formatted(name, BY_NAME.keySet()));
        }
        return config;
    }
}
