package io.fireq.engine;

import io.fireq.engine.api.BackendSelection;
import io.fireq.engine.api.EngineOptions;
import io.fireq.engine.api.FireqEngine;
import io.fireq.engine.api.FireqException;
import io.fireq.engine.api.ModelInfo;
import io.fireq.engine.backend.Backend;
import io.fireq.engine.backend.KvFormat;
import io.fireq.engine.backend.cpu.CpuBackendProvider;
import io.fireq.engine.backend.cuda.CudaBackendProvider;
import io.fireq.engine.bench.ModelShapes;
import io.fireq.engine.bench.SyntheticWeights;
import io.fireq.engine.chat.ChatTemplate;
import io.fireq.engine.model.GenerationDefaults;
import io.fireq.engine.model.LlamaModel;
import io.fireq.engine.model.ModelConfig;
import io.fireq.engine.runtime.DefaultFireqEngine;
import io.fireq.engine.runtime.LoadedModel;
import io.fireq.engine.tokenizer.Tokenizer;
import io.fireq.engine.weights.Checkpoint;
import io.fireq.engine.weights.v1.QuantizationInfo;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.stream.Collectors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Opens models: the one place that knows every part of the engine. */
public final class FireqEngines {
    private static final Logger LOG = LoggerFactory.getLogger(FireqEngines.class);

    private FireqEngines() {}

    /**
     * Loads a model and starts serving it. An unquantized checkpoint is quantized first, once, into the cache directory;
     * one that GPTQ, AWQ or compressed-tensors has quantized is imported likewise.
     *
     * @throws io.fireq.engine.api.ModelNotFoundException    if there is no such model
     * @throws io.fireq.engine.api.ModelFormatException      if a file is damaged
     * @throws io.fireq.engine.api.UnsupportedModelException if it is a model that FireQ does not run
     * @throws FireqException                                if the wanted device cannot be used
     */
    public static FireqEngine open(EngineOptions options) {
        Path directory = new ModelLocator(options).locate();
        BackendSelector.Selected selected = selectBackend(options);
        EngineOptions resolved = resolved(options, selected.backend());
        LoadedModel loaded = load(directory, resolved, selected.backend());
        BackendSelection selection = selected.selection();
        LOG.info("FireQ serves {} ({}, {} MB, context {} tokens) on {}: {}", loaded.info().name(),
                loaded.info().quantization(), loaded.info().weightBytes() >> 20, loaded.info().maxModelLen(),
                selection.device(), selection.reason());
        return new DefaultFireqEngine(loaded, resolved, selection);
    }

    private static EngineOptions resolved(EngineOptions options, Backend backend) {
        return options.resolved(backend.freeBytes().isPresent());
    }

    /** Loads a model for direct use, without an engine around it; exceptions as {@link #open}. */
    public static LoadedModel load(EngineOptions options) {
        Path directory = new ModelLocator(options).locate();
        return load(directory, options, selectBackend(options).backend());
    }

    /**
     * Loads a model onto a backend of the caller's, which the result owns; exceptions as {@link #open}. The backend's
     * numerics must be those of the options.
     */
    public static LoadedModel load(EngineOptions options, Backend backend) {
        return load(new ModelLocator(options).locate(), options, backend);
    }

    /**
     * Loads random weights of a well-known shape, for benchmarks; the result has no tokenizer.
     *
     * @throws IllegalArgumentException if there is no shape of this name
     */
    public static LoadedModel loadSynthetic(String shapeName, EngineOptions options) {
        ModelConfig config = ModelShapes.named(shapeName);
        Backend backend = selectBackend(options).backend();
        try {
            SyntheticWeights weights = new SyntheticWeights(1);
            KvFormat kvFormat = new KvFormat(KvFormat.Kind.ASYMMETRIC, config.headDim());
            LlamaModel.Limits limits =
                    limits(config, resolved(options, backend), kvFormat, OptionalLong.empty(), 0);
            LlamaModel model = LlamaModel.load(config, weights, backend, limits, kvFormat, layer -> {});
            return new LoadedModel(info(shapeName, config, limits, weights.byteSize(), "random INT4 weights",
                    Optional.empty()), model, backend, limits, null, null, new int[0]);
        } catch (RuntimeException | Error e) {
            backend.close();
            throw e;
        }
    }

    /** Hyper-parameters of a model; exceptions as {@link #open}. */
    public static ModelConfig config(EngineOptions options) {
        return ModelConfig.read(new ModelLocator(options).locate());
    }

    /** A backend without a model, for benchmarks of its operations. */
    public static Backend openBackend(EngineOptions options) {
        return selectBackend(options).backend();
    }

    static BackendSelector.Selected selectBackend(EngineOptions options) {
        return new BackendSelector(List.of(new CudaBackendProvider(), new CpuBackendProvider())).select(options);
    }

    private static LoadedModel load(Path directory, EngineOptions wanted, Backend backend) {
        try {
            EngineOptions options = resolved(wanted, backend);
            ModelConfig config = ModelConfig.read(directory);
            Checkpoint checkpoint = Checkpoint.open(directory);
            KvFormat kvFormat = kvFormat(config, checkpoint.quantization());
            LlamaModel.Limits limits =
                    limits(config, options, kvFormat, backend.freeBytes(), checkpoint.byteSize());
            Tokenizer tokenizer = Tokenizer.load(directory);
            ChatTemplate chatTemplate = ChatTemplate.load(directory, tokenizer);
            GenerationDefaults defaults = GenerationDefaults.read(directory);
            LlamaModel model = LlamaModel.load(config, checkpoint, backend, limits, kvFormat,
                    checkpoint.quantization().map(q -> q.kvCache().hadamardBlock()).orElse(0),
                    layer -> LOG.debug("Loaded layer {} of {}", layer, config.nLayers()));
            int[] eosIds = defaults.eosIds().length > 0 ? defaults.eosIds() : config.eosIds();
            ModelInfo info = info(ModelLocator.nameOf(options.model()), config, limits,
                    checkpoint.byteSize(), quantization(checkpoint.quantization()), defaults.sampling());
            return new LoadedModel(info, model, backend, limits, tokenizer, chatTemplate, eosIds);
        } catch (RuntimeException | Error e) {
            backend.close();
            throw e;
        }
    }

    private static LlamaModel.Limits limits(ModelConfig config, EngineOptions options, KvFormat kvFormat,
            OptionalLong freeBytes, long weightBytes) {
        if (options.maxModelLen() > config.maxPositions()) {
            throw new IllegalArgumentException("Engine options: max-model-len is %,d, the model's limit is %,d"
                    .formatted(options.maxModelLen(), config.maxPositions()));
        }
        int maxModelLen = options.maxModelLen() > 0 ? options.maxModelLen() : config.maxPositions();
        long kvTokens = KvPoolSize.tokens(options, maxModelLen, config, kvFormat, freeBytes, weightBytes);
        return new LlamaModel.Limits(options.maxBatchTokens(), maxModelLen,
                KvPoolSize.blocks(kvTokens, options.kvBlockSize()), options.kvBlockSize());
    }

    private static KvFormat kvFormat(ModelConfig config, Optional<QuantizationInfo> quantization) {
        return quantization.map(QuantizationInfo::kvCache)
                .map(kv -> new KvFormat(KvFormat.Kind.valueOf(kv.kind().name()), kv.groupSize()))
                .orElse(new KvFormat(KvFormat.Kind.FLOAT32, config.headDim()));
    }

    private static String quantization(Optional<QuantizationInfo> quantization) {
        return quantization
                .map(q -> "%s weights, e4m3 activations, INT4 %s KV cache, profile %s".formatted(weightFormats(q),
                        q.kvCache().kind().name().toLowerCase(Locale.ROOT), q.profile()))
                .orElse("float32");
    }

    /** "INT4", unless the error table has decoder layers in other formats. */
    private static String weightFormats(QuantizationInfo quantization) {
        String formats = quantization.tensors().stream().filter(tensor -> tensor.name().startsWith("model.layers."))
                .map(tensor -> tensor.format().equals("int4") ? "INT4" : tensor.format()).distinct().sorted()
                .collect(Collectors.joining(" and "));
        return formats.isEmpty() ? "INT4" : formats;
    }

    private static ModelInfo info(String name, ModelConfig config, LlamaModel.Limits limits, long weightBytes,
            String quantization, Optional<io.fireq.engine.api.SamplingParams> sampling) {
        return new ModelInfo(name, limits.maxModelLen(), config.vocabSize(), config.nLayers(), config.hiddenSize(),
                weightBytes, quantization, sampling);
    }
}
