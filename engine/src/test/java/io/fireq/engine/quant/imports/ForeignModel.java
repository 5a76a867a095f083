package io.fireq.engine.quant.imports;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.function.UnaryOperator;

/**
 * A Llama of two layers with random weights, rounded to 4 bits and stored as another tool would, or unquantized with the
 * values that the rounded weights stand for. Its sizes are all different; its tokenizer is stories260K's.
 */
public final class ForeignModel {
    static final int HIDDEN = 64;
    static final int FFN = 160;
    static final int HEADS = 4;
    static final int KV_HEADS = 2;
    static final int HEAD_DIM = 24;
    static final int LAYERS = 2;
    static final int VOCAB = 512;
    static final String FIRST = "model.layers.0.self_attn.q_proj";

    private static final Path STORIES = Path.of("src/test/resources/models/stories260K");

    /** How other tools store weights, and what config.json says then. */
    public enum Format {
        GPTQ("{'quant_method':'gptq','bits':4,'group_size':%d,'desc_act':false,'sym':true,'checkpoint_format':'gptq'}"),
        GPTQ_V2("{'quant_method':'gptq','bits':4,'group_size':%d,'desc_act':true,'sym':false,"
                + "'checkpoint_format':'gptq_v2'}"),
        AWQ("{'quant_method':'awq','bits':4,'group_size':%d,'zero_point':true,'version':'gemm',"
                + "'modules_to_not_convert':null}"),
        W4A16("{'quant_method':'compressed-tensors','format':'pack-quantized','quantization_status':'compressed',"
                + "'ignore':['lm_head'],'config_groups':{'group_0':{'targets':['Linear'],'input_activations':null,"
                + "'output_activations':null,'weights':{'num_bits':4,'type':'int','symmetric':true,'strategy':'group',"
                + "'group_size':%d}}}}"),
        W4A8("{'quant_method':'compressed-tensors','format':'int-quantized','quantization_status':'compressed',"
                + "'ignore':['lm_head'],'config_groups':{'group_0':{'targets':['Linear'],'input_activations':{"
                + "'num_bits':8,'type':'int','strategy':'token','dynamic':true},'weights':{'num_bits':4,'type':'int',"
                + "'symmetric':true,'strategy':'group','group_size':%d}}}}");

        private final String config;

        Format(String config) {
            this.config = config;
        }

        String config(int groupSize) {
            return config.formatted(groupSize).replace('\'', '"');
        }

        void add(RawTensors to, String name, RoundedLayer layer) {
            switch (this) {
                case GPTQ -> layer.addGptq(to, name, 1, true);
                case GPTQ_V2 -> layer.addGptq(to, name, 0, true);
                case AWQ -> layer.addAwq(to, name);
                case W4A16 -> layer.addPacked(to, name);
                case W4A8 -> layer.addInt8(to, name);
            }
        }
    }

    final Map<String, RoundedLayer> layers = new LinkedHashMap<>();
    private final boolean tied;

    private ForeignModel(boolean tied) {
        this.tied = tied;
    }

    /** Layers rounded with scales per {@code groupSize} columns, or per row where it is -1. */
    public static ForeignModel symmetric(int groupSize, boolean tied) {
        return of(tied, (weights, n, k) -> RoundedLayer.symmetric(weights, n, k, groupSize == -1 ? k : groupSize));
    }

    public static ForeignModel asymmetric(int groupSize, boolean tied) {
        return of(tied, (weights, n, k) -> RoundedLayer.asymmetric(weights, n, k, groupSize));
    }

    private static ForeignModel of(boolean tied, Rounding rounding) {
        ForeignModel model = new ForeignModel(tied);
        for (int layer = 0; layer < LAYERS; layer++) {
            String attn = "model.layers." + layer + ".self_attn.";
            String mlp = "model.layers." + layer + ".mlp.";
            model.round(attn + "q_proj", HEADS * HEAD_DIM, HIDDEN, rounding);
            model.round(attn + "k_proj", KV_HEADS * HEAD_DIM, HIDDEN, rounding);
            model.round(attn + "v_proj", KV_HEADS * HEAD_DIM, HIDDEN, rounding);
            model.round(attn + "o_proj", HIDDEN, HEADS * HEAD_DIM, rounding);
            model.round(mlp + "gate_proj", FFN, HIDDEN, rounding);
            model.round(mlp + "up_proj", FFN, HIDDEN, rounding);
            model.round(mlp + "down_proj", HIDDEN, FFN, rounding);
        }
        return model;
    }

    private interface Rounding {
        RoundedLayer round(float[] weights, int n, int k);
    }

    private void round(String name, int n, int k, Rounding rounding) {
        layers.put(name, rounding.round(gaussian(name, n * k, (float) (1 / Math.sqrt(k))), n, k));
    }

    ForeignModel change(String name, UnaryOperator<RoundedLayer> change) {
        layers.compute(name, (key, layer) -> change.apply(layer));
        return this;
    }

    /** Everything but the linear layers. */
    private RawTensors rest() {
        RawTensors tensors = new RawTensors();
        tensors.f16("model.embed_tokens.weight", gaussian("embed", VOCAB * HIDDEN, 1), VOCAB, HIDDEN);
        for (int layer = 0; layer < LAYERS; layer++) {
            for (String norm : List.of("input_layernorm", "post_attention_layernorm")) {
                String name = "model.layers." + layer + "." + norm + ".weight";
                tensors.f16(name, around1(name), HIDDEN);
            }
        }
        tensors.f16("model.norm.weight", around1("norm"), HIDDEN);
        if (!tied) {
            tensors.f16("lm_head.weight", gaussian("head", VOCAB * HIDDEN, 0.2f), VOCAB, HIDDEN);
        }
        return tensors;
    }

    public Path write(Path directory, Format format, int groupSize) {
        return write(directory, format, groupSize, tensors -> tensors);
    }

    /** @param change what to do to the tensors before they are written */
    Path write(Path directory, Format format, int groupSize, UnaryOperator<RawTensors> change) {
        RawTensors tensors = rest();
        layers.forEach((name, layer) -> format.add(tensors, name, layer));
        write(directory, change.apply(tensors), ",\"quantization_config\":" + format.config(groupSize));
        return directory;
    }

    /** An unquantized checkpoint, float32, of the values that the codes stand for. */
    Path writeValues(Path directory) {
        RawTensors tensors = rest();
        layers.forEach((name, layer) -> tensors.f32(name + ".weight", layer.values(), layer.n(), layer.k()));
        write(directory, tensors, "");
        return directory;
    }

    private void write(Path directory, RawTensors tensors, String quantization) {
        String config = """
                {"architectures":["LlamaForCausalLM"],"model_type":"llama","hidden_act":"silu","hidden_size":%d,
                 "intermediate_size":%d,"num_hidden_layers":%d,"num_attention_heads":%d,"num_key_value_heads":%d,
                 "head_dim":%d,"vocab_size":%d,"max_position_embeddings":256,"rms_norm_eps":1e-5,"rope_theta":10000.0,
                 "bos_token_id":1,"eos_token_id":2,"tie_word_embeddings":%s%s}"""
                .formatted(HIDDEN, FFN, LAYERS, HEADS, KV_HEADS, HEAD_DIM, VOCAB, tied, quantization);
        try {
            Files.createDirectories(directory);
            Files.writeString(directory.resolve("config.json"), config);
            for (String file : List.of("tokenizer.json", "tokenizer_config.json", "generation_config.json")) {
                Files.write(directory.resolve(file), Files.readAllBytes(STORIES.resolve(file)));
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        tensors.write(directory.resolve("model.safetensors"));
    }

    private static float[] around1(String name) {
        float[] values = gaussian(name, HIDDEN, 0.2f);
        for (int i = 0; i < HIDDEN; i++) {
            values[i] += 1;
        }
        return values;
    }

    private static float[] gaussian(String name, int count, float sd) {
        Random random = new Random(name.hashCode());
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = (float) random.nextGaussian() * sd;
        }
        return values;
    }
}
