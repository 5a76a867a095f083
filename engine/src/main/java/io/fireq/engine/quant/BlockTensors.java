package io.fireq.engine.quant;

import io.fireq.engine.quant.smoothing.BlockWeights;
import io.fireq.engine.tensor.HostTensor;
import io.fireq.engine.weights.v1.LinearFormat;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A decoder layer's weights under their names in a checkpoint. */
final class BlockTensors {
    private BlockTensors() {}

    /** What is stored besides its linear layers: norms and key smoothing. */
    static List<HostTensor> of(int layer, BlockWeights weights) {
        List<HostTensor> tensors = new ArrayList<>();
        tensors.add(norm(layer, LayerNames.INPUT_NORM, weights.inputNorm()));
        tensors.add(norm(layer, LayerNames.POST_NORM, weights.postNorm()));
        if (weights.smoothsKeys()) {
            tensors.add(HostTensor.ofFloats(LinearFormat.kSmoothName(layer),
                    List.of(weights.config().nKvHeads(), weights.config().headDim()), weights.keySmooth()));
        }
        return tensors;
    }

    private static HostTensor norm(int layer, String name, float[] values) {
        return HostTensor.ofFloats(LayerNames.block(layer) + name + ".weight", List.of(values.length), values);
    }

    /** The linear layers, in the order of a checkpoint. */
    static Map<String, float[]> byName(int layer, BlockWeights weights) {
        Map<String, float[]> byName = new LinkedHashMap<>();
        String prefix = LayerNames.block(layer);
        byName.put(prefix + LayerNames.QUERY, weights.query());
        byName.put(prefix + LayerNames.KEY, weights.key());
        byName.put(prefix + LayerNames.VALUE, weights.value());
        byName.put(prefix + LayerNames.OUTPUT, weights.output());
        byName.put(prefix + LayerNames.GATE, weights.gate());
        byName.put(prefix + LayerNames.UP, weights.up());
        byName.put(prefix + LayerNames.DOWN, weights.down());
        return byName;
    }
}
