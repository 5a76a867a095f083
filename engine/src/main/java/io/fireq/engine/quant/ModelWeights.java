package io.fireq.engine.quant;

import io.fireq.engine.api.FireqException;
import io.fireq.engine.model.ModelConfig;
import io.fireq.engine.quant.smoothing.BlockWeights;
import io.fireq.engine.tensor.Chunks;
import io.fireq.engine.tensor.FloatMatrix;
import io.fireq.engine.weights.Checkpoint;
import io.fireq.engine.weights.WeightSource;
import java.util.HashMap;
import java.util.Map;

/** The weights of an unquantized model in float32, read when they are asked for and checked to be finite. */
final class ModelWeights {
    private static final int CHUNK = 1 << 18;

    private final ModelConfig config;
    private final WeightSource source;

    ModelWeights(ModelConfig config, Checkpoint source) {
        this.config = config;
        this.source = source;
    }

    BlockWeights block(int layer) {
        Map<String, float[]> linears = new HashMap<>();
        LayerNames.linears(config, layer).forEach(l -> linears.put(l.name(), linear(l.name(), l.n(), l.k())));
        String prefix = LayerNames.block(layer);
        return BlockWeights.of(config, norm(prefix + LayerNames.INPUT_NORM), linears.get(prefix + LayerNames.QUERY),
                linears.get(prefix + LayerNames.KEY), linears.get(prefix + LayerNames.VALUE),
                linears.get(prefix + LayerNames.OUTPUT), norm(prefix + LayerNames.POST_NORM),
                linears.get(prefix + LayerNames.GATE), linears.get(prefix + LayerNames.UP),
                linears.get(prefix + LayerNames.DOWN));
    }

    /** {@code [vocabSize, hiddenSize]}. */
    float[] embedding() {
        return linear(LayerNames.EMBEDDING, config.vocabSize(), config.hiddenSize());
    }

    /** {@code [vocabSize, hiddenSize]}; the embedding in a tied model. */
    float[] head() {
        return config.tieEmbeddings()
                ? embedding()
                : linear(LayerNames.HEAD, config.vocabSize(), config.hiddenSize());
    }

    float[] finalNorm() {
        return norm(LayerNames.FINAL_NORM);
    }

    private float[] norm(String layerName) {
        String name = layerName + ".weight";
        return finite(name, source.tensor(name, config.hiddenSize()).toFloats(), config.hiddenSize());
    }

    private float[] linear(String name, int n, int k) {
        return finite(name, ((FloatMatrix) source.linear(name, n, k)).tensor().toFloats(), k);
    }

    private static float[] finite(String name, float[] weights, int k) {
        Chunks.forEach(weights.length, CHUNK, (begin, end) -> {
            for (int i = begin; i < end; i++) {
                if (!Float.isFinite(weights[i])) {
                    throw new FireqException(
                            "Quantizing '%s': the weight at row %d, column %d is %s; the source is damaged"
                                    .formatted(name, i / k, i % k, weights[i]));
                }
            }
        });
        return weights;
    }
}
