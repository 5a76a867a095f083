package io.fireq.engine.quant.imports;

import io.fireq.engine.model.ModelConfig;
import io.fireq.engine.tensor.HostTensor;
import io.fireq.engine.weights.Checkpoint;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** A linear layer {@code [n, k]} of a decoder, and what else a Llama checkpoint consists of. */
record SourceLayer(LayerTensors tensors, int n, int k) {
    private static final List<String> COMPANION_FILES = List.of("tokenizer.json", "tokenizer.model",
            "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja", "generation_config.json",
            "LICENSE", "LICENSE.txt");

    String name() {
        return tensors.layerName();
    }

    /** The linear layers of all decoder layers, in order. */
    static List<SourceLayer> all(ModelConfig config, Checkpoint checkpoint) {
        int hiddenSize = config.hiddenSize();
        int qSize = config.nHeads() * config.headDim();
        int kvSize = config.nKvHeads() * config.headDim();
        List<SourceLayer> layers = new ArrayList<>();
        for (int layer = 0; layer < config.nLayers(); layer++) {
            String attn = "model.layers." + layer + ".self_attn.";
            String mlp = "model.layers." + layer + ".mlp.";
            layers.add(of(checkpoint, attn + "q_proj", qSize, hiddenSize));
            layers.add(of(checkpoint, attn + "k_proj", kvSize, hiddenSize));
            layers.add(of(checkpoint, attn + "v_proj", kvSize, hiddenSize));
            layers.add(of(checkpoint, attn + "o_proj", hiddenSize, qSize));
            layers.add(of(checkpoint, mlp + "gate_proj", config.ffnSize(), hiddenSize));
            layers.add(of(checkpoint, mlp + "up_proj", config.ffnSize(), hiddenSize));
            layers.add(of(checkpoint, mlp + "down_proj", hiddenSize, config.ffnSize()));
        }
        return layers;
    }

    private static SourceLayer of(Checkpoint checkpoint, String name, int n, int k) {
        return new SourceLayer(new LayerTensors(checkpoint, name), n, k);
    }

    /** The weights of all norms, by name. */
    static List<HostTensor> norms(ModelConfig config, Checkpoint checkpoint) {
        List<HostTensor> norms = new ArrayList<>();
        for (int layer = 0; layer < config.nLayers(); layer++) {
            for (String norm : List.of("input_layernorm", "post_attention_layernorm")) {
                String name = "model.layers." + layer + "." + norm + ".weight";
                norms.add(checkpoint.tensor(name, config.hiddenSize()));
            }
        }
        norms.add(checkpoint.tensor("model.norm.weight", config.hiddenSize()));
        return norms;
    }

    /** The files of a model directory that go along with its weights. */
    static List<Path> companions(Path directory) {
        return COMPANION_FILES.stream().map(directory::resolve).filter(Files::isRegularFile).toList();
    }
}
