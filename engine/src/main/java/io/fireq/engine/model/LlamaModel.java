package io.fireq.engine.model;

import io.fireq.engine.backend.Backend;
import io.fireq.engine.backend.KvCacheSpec;
import io.fireq.engine.backend.KvFormat;
import io.fireq.engine.batch.Batch;
import io.fireq.engine.tensor.WeightMatrix;
import io.fireq.engine.weights.WeightSource;
import java.util.List;
import java.util.function.IntConsumer;
import java.util.function.Supplier;

/**
 * A Llama on one backend: embedding, decoder layers, output head. Not thread-safe; the engine loop owns it. The backend
 * owns all memory, so there is nothing to close here.
 */
public final class LlamaModel {
    private final ModelConfig config;
    private final Backend backend;
    private final int maxBatchTokens;
    private final Backend.Weight embedding;
    private final DecoderLayer[] layers;
    private final Backend.Vector finalNorm;
    private final Backend.Weight head;
    private final Activations activations;
    private final Backend.KvCache kvCache;
    private final Supplier<Backend.Logits> program = this::recompute;

    private LlamaModel(ModelConfig config, WeightSource weights, Backend backend, Limits limits, KvFormat kvFormat,
            int hadamardBlock, IntConsumer layerLoaded) {
        this.config = config;
        this.backend = backend;
        this.maxBatchTokens = limits.maxBatchTokens();

        WeightMatrix embeddingMatrix = weights.linear("model.embed_tokens", config.vocabSize(), config.hiddenSize());
        embedding = backend.weight(List.of(embeddingMatrix));
        RotaryTable rotary = RotaryTable.of(config.ropeInverseFrequencies(), limits.maxModelLen());
        layers = new DecoderLayer[config.nLayers()];
        for (int i = 0; i < layers.length; i++) {
            layers[i] = new DecoderLayer(config, i, rotary, hadamardBlock, weights, backend);
            layerLoaded.accept(i + 1);
        }
        finalNorm = backend.vector(weights.tensor("model.norm.weight", config.hiddenSize()).toFloats());
        // Tied embeddings share one matrix, unless the quantizer stored the head in a format of its own.
        head = config.tieEmbeddings() && !weights.hasLinear("lm_head")
                ? embedding
                : backend.weight(List.of(weights.linear("lm_head", config.vocabSize(), config.hiddenSize())));
        activations = Activations.of(config, maxBatchTokens, backend);
        kvCache = backend.kvCache(new KvCacheSpec(config.nLayers(), config.nKvHeads(), config.headDim(),
                limits.nKvBlocks(), limits.kvBlockSize(), kvFormat));
    }

    /**
     * Loads the weights onto the backend.
     *
     * @param layerLoaded told the number of layers loaded so far
     */
    public static LlamaModel load(ModelConfig config, WeightSource weights, Backend backend, Limits limits,
            KvFormat kvFormat, IntConsumer layerLoaded) {
        return load(config, weights, backend, limits, kvFormat, 0, layerLoaded);
    }

    /**
     * As above, with a Hadamard transform of Q and K.
     *
     * @param hadamardBlock {@link io.fireq.engine.backend.AttentionSpec#hadamardBlock()}
     */
    public static LlamaModel load(ModelConfig config, WeightSource weights, Backend backend, Limits limits,
            KvFormat kvFormat, int hadamardBlock, IntConsumer layerLoaded) {
        return new LlamaModel(config, weights, backend, limits, kvFormat, hadamardBlock, layerLoaded);
    }

    /**
     * Computes a step: appends K and V of all its tokens to the cache.
     *
     * @return logits of {@code batch.logitRows()}, valid until the next call
     * @throws IllegalArgumentException if the batch has more tokens than the model was loaded for
     */
    public Backend.Logits forward(Batch batch) {
        if (batch.nTokens() > maxBatchTokens) {
            throw new IllegalArgumentException("Forward pass: the batch has %d tokens, the model was loaded for %d"
                    .formatted(batch.nTokens(), maxBatchTokens));
        }
        return backend.step(batch, program);
    }

    /** Computes the last step once more, which puts the same K and V where they are already; for benchmarks. */
    public Backend.Logits recompute() {
        backend.embed(embedding, activations.hidden());
        for (DecoderLayer layer : layers) {
            layer.forward(activations, kvCache);
        }
        return backend.logits(activations.hidden(), finalNorm, config.rmsNormEps(), head);
    }

    public ModelConfig config() {
        return config;
    }

    /**
     * How much memory the model sets aside.
     *
     * @param maxBatchTokens token rows per step
     * @param maxModelLen    positions
     * @param nKvBlocks      KV blocks in the pool
     * @param kvBlockSize    tokens per KV block
     */
    public record Limits(int maxBatchTokens, int maxModelLen, int nKvBlocks, int kvBlockSize) {}
}
