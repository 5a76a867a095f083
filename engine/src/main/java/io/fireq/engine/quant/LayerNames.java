package io.fireq.engine.quant;

import io.fireq.engine.model.ModelConfig;
import java.util.List;

/** What checkpoints call the layers. */
public final class LayerNames {
    public static final String EMBEDDING = "model.embed_tokens";
    public static final String FINAL_NORM = "model.norm";
    public static final String HEAD = "lm_head";

    // Behind the name of a block.
    public static final String INPUT_NORM = "input_layernorm";
    static final String QUERY = "self_attn.q_proj";
    static final String KEY = "self_attn.k_proj";
    static final String VALUE = "self_attn.v_proj";
    static final String OUTPUT = "self_attn.o_proj";
    public static final String POST_NORM = "post_attention_layernorm";
    static final String GATE = "mlp.gate_proj";
    static final String UP = "mlp.up_proj";
    static final String DOWN = "mlp.down_proj";

    private LayerNames() {}

    /** The beginning of all names of a decoder layer. */
    public static String block(int layer) {
        return "model.layers." + layer + ".";
    }

    /** The linear layers of a decoder layer, in the order of the error table. */
    public static List<Linear> linears(ModelConfig config, int layer) {
        int hiddenSize = config.hiddenSize();
        int qSize = config.nHeads() * config.headDim();
        int kvSize = config.nKvHeads() * config.headDim();
        String block = block(layer);
        return List.of(
                new Linear(block + QUERY, qSize, hiddenSize),
                new Linear(block + KEY, kvSize, hiddenSize),
                new Linear(block + VALUE, kvSize, hiddenSize),
                new Linear(block + OUTPUT, hiddenSize, qSize),
                new Linear(block + GATE, config.ffnSize(), hiddenSize),
                new Linear(block + UP, config.ffnSize(), hiddenSize),
                new Linear(block + DOWN, hiddenSize, config.ffnSize()));
    }

    /** A weight {@code [n, k]} by the name of its layer. */
    public record Linear(String name, int n, int k) {}
}
