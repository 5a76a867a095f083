package io.fireq.engine.quant;

import io.fireq.engine.api.EngineOptions.CpuKernelChoice;
import io.fireq.engine.api.Numerics;
import io.fireq.engine.backend.KvFormat;
import io.fireq.engine.backend.cpu.CpuBackend;
import io.fireq.engine.model.ModelConfig;
import io.fireq.engine.quant.calibration.BlockObserver;
import io.fireq.engine.quant.calibration.BlockRunner;
import io.fireq.engine.quant.calibration.Observation;
import io.fireq.engine.quant.smoothing.BlockWeights;
import io.fireq.engine.weights.Checkpoint;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;

/** The test model's weights in arrays that a transformation can work on, and what they compute in float32. */
final class SmallModel {
    static final Path STORIES = Path.of("src/test/resources/models/stories260K");

    final ModelConfig config;
    final List<BlockWeights> blocks = new ArrayList<>();
    final float[] embedding;
    final float[] finalNorm;
    final float[] head;
    /** Channels of Q and K that are mixed after the rotation; 0 for none. */
    int hadamardBlock;

    private SmallModel(Path directory) {
        config = ModelConfig.read(directory);
        try (Checkpoint checkpoint = Checkpoint.open(directory)) {
            ModelWeights weights = new ModelWeights(config, checkpoint);
            for (int layer = 0; layer < config.nLayers(); layer++) {
                blocks.add(weights.block(layer).copy());
            }
            embedding = weights.embedding().clone();
            finalNorm = weights.finalNorm().clone();
            head = weights.head().clone();
        }
    }

    static SmallModel stories() {
        return new SmallModel(STORIES);
    }

    static SmallModel of(Path directory) {
        return new SmallModel(directory);
    }

    SmallModel eachBlock(Consumer<BlockWeights> transformation) {
        blocks.forEach(transformation);
        return this;
    }

    /** What flows through a layer of this model, if it came first. */
    Observation observe(BlockWeights block, int... tokens) {
        BlockObserver observer = new BlockObserver(config, block.keySmooth(), hadamardBlock, tokens.length);
        try (BlockRunner runner = runner(tokens.length)) {
            ReferenceWeights.load(runner, block);
            observer.watch(runner, embed(tokens), tokens.length, (place, input, nTokens) -> {});
        }
        return observer.observation();
    }

    private BlockRunner runner(int windowLen) {
        return new BlockRunner(CpuBackend.create(Numerics.FLOAT32, 1, CpuKernelChoice.PLAIN), config,
                new KvFormat(KvFormat.Kind.FLOAT32, config.headDim()), hadamardBlock, windowLen);
    }

    private float[] embed(int... tokens) {
        int hiddenSize = config.hiddenSize();
        float[] hidden = new float[tokens.length * hiddenSize];
        for (int t = 0; t < tokens.length; t++) {
            System.arraycopy(embedding, tokens[t] * hiddenSize, hidden, t * hiddenSize, hiddenSize);
        }
        return hidden;
    }

    /** {@code [tokens, vocabSize]}. */
    float[] logits(int... tokens) {
        int hiddenSize = config.hiddenSize();
        float[] hidden = embed(tokens);
        try (BlockRunner runner = runner(tokens.length)) {
            for (BlockWeights block : blocks) {
                ReferenceWeights.load(runner, block);
                runner.begin(tokens.length, hidden);
                runner.attentionInput();
                runner.qkv();
                runner.attend();
                runner.addAttention();
                runner.mlpInput();
                runner.gateUp();
                runner.addMlp();
                runner.readHidden(hidden);
            }
            runner.inputNorm(finalNorm);
            runner.begin(tokens.length, hidden);
            runner.attentionInput();
            runner.readNormed(hidden);
        }
        float[] logits = new float[tokens.length * config.vocabSize()];
        for (int i = 0; i < logits.length; i++) {
            int row = i % config.vocabSize() * hiddenSize;
            int token = i / config.vocabSize() * hiddenSize;
            double sum = 0;
            for (int j = 0; j < hiddenSize; j++) {
                sum += (double) head[row + j] * hidden[token + j];
            }
            logits[i] = (float) sum;
        }
        return logits;
    }
}
