package io.fireq.engine.quant;

/** What checkpoints call the layers. */
final class LayerNames {
    static final String EMBEDDING = "model.embed_tokens";
    static final String FINAL_NORM = "model.norm";
    static final String HEAD = "lm_head";

    // Behind the name of a block.
    static final String INPUT_NORM = "input_layernorm";
    static final String QUERY = "self_attn.q_proj";
    static final String KEY = "self_attn.k_proj";
    static final String VALUE = "self_attn.v_proj";
    static final String OUTPUT = "self_attn.o_proj";
    static final String POST_NORM = "post_attention_layernorm";
    static final String GATE = "mlp.gate_proj";
    static final String UP = "mlp.up_proj";
    static final String DOWN = "mlp.down_proj";

    private LayerNames() {}

    /** The beginning of all names of a decoder layer. */
    static String block(int layer) {
        return "model.layers." + layer + ".";
    }
}
