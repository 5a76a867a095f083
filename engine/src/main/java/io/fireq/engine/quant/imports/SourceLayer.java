package io.fireq.engine.quant.imports;

import io.fireq.engine.model.ModelConfig;
import io.fireq.engine.quant.LayerNames;
import io.fireq.engine.tensor.HostTensor;
import io.fireq.engine.weights.Checkpoint;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;

/** A linear layer {@code [n, k]} of a decoder, and what else a Llama checkpoint consists of. */
record SourceLayer(LayerTensors tensors, int n, int k) {
    String name() {
        return tensors.layerName();
    }

    /** The linear layers of all decoder layers, in order. */
    static List<SourceLayer> all(ModelConfig config, Checkpoint checkpoint) {
        return IntStream.range(0, config.nLayers()).boxed()
                .flatMap(layer -> LayerNames.linears(config, layer).stream())
                .map(linear -> new SourceLayer(new LayerTensors(checkpoint, linear.name()), linear.n(), linear.k()))
                .toList();
    }

    /** The weights of all norms. */
    static List<HostTensor> norms(ModelConfig config, Checkpoint checkpoint) {
        List<String> names = new ArrayList<>();
        for (int layer = 0; layer < config.nLayers(); layer++) {
            names.add(LayerNames.block(layer) + LayerNames.INPUT_NORM);
            names.add(LayerNames.block(layer) + LayerNames.POST_NORM);
        }
        names.add(LayerNames.FINAL_NORM);
        return names.stream().map(name -> checkpoint.tensor(name + ".weight", config.hiddenSize())).toList();
    }
}
