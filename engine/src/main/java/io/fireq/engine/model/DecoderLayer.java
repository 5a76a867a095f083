package io.fireq.engine.model;

import io.fireq.engine.backend.AttentionSpec;
import io.fireq.engine.backend.Backend;
import io.fireq.engine.backend.Backend.Epilogue;
import io.fireq.engine.tensor.HostTensor;
import io.fireq.engine.weights.WeightSource;
import java.util.List;

/** One decoder layer: attention and MLP, each behind a norm and added to the residual stream. */
final class DecoderLayer {
    private final Backend backend;
    private final float rmsNormEps;
    private final Backend.Vector inputNorm;
    private final Backend.Weight qkv;
    private final Backend.Attention attention;
    private final Backend.Weight output;
    private final Backend.Vector postAttentionNorm;
    private final Backend.Weight gateUp;
    private final Backend.Weight down;

    DecoderLayer(ModelConfig config, int layer, RotaryTable rotary, int hadamardBlock, WeightSource weights,
            Backend backend) {
        this.backend = backend;
        this.rmsNormEps = config.rmsNormEps();
        String prefix = "model.layers." + layer + ".";
        int hiddenSize = config.hiddenSize();
        int ffnSize = config.ffnSize();
        int qSize = config.nHeads() * config.headDim();
        int kvSize = config.nKvHeads() * config.headDim();
        String attn = prefix + "self_attn.";
        String mlp = prefix + "mlp.";

        inputNorm = norm(weights, prefix + "input_layernorm.weight", hiddenSize);
        qkv = backend.weight(List.of(
                weights.linear(attn + "q_proj", qSize, hiddenSize),
                weights.linear(attn + "k_proj", kvSize, hiddenSize),
                weights.linear(attn + "v_proj", kvSize, hiddenSize)), Epilogue.NONE);
        String kSmoothName = attn + "k_smooth";
        float[] kSmooth = weights.has(kSmoothName)
                ? weights.tensor(kSmoothName, config.nKvHeads(), config.headDim()).toFloats()
                : null;
        attention = backend.attention(new AttentionSpec(layer, config.nHeads(), config.nKvHeads(), config.headDim(),
                rotary.cos(), rotary.sin(), kSmooth, hadamardBlock));
        output = backend.weight(List.of(weights.linear(attn + "o_proj", hiddenSize, qSize)), Epilogue.RESIDUAL_ADD);
        postAttentionNorm = norm(weights, prefix + "post_attention_layernorm.weight", hiddenSize);
        gateUp = backend.weight(List.of(
                weights.linear(mlp + "gate_proj", ffnSize, hiddenSize),
                weights.linear(mlp + "up_proj", ffnSize, hiddenSize)), Epilogue.SILU_MUL);
        down = backend.weight(List.of(weights.linear(mlp + "down_proj", hiddenSize, ffnSize)), Epilogue.RESIDUAL_ADD);
    }

    private Backend.Vector norm(WeightSource weights, String name, int size) {
        HostTensor weight = weights.tensor(name, size);
        return backend.vector(weight.toFloats());
    }

    void forward(Activations a, Backend.KvCache kvCache) {
        backend.rmsNormQuantize(a.hidden(), inputNorm, rmsNormEps, a.normed());
        backend.linear(a.normed(), qkv, Epilogue.NONE, a.qkv());
        backend.ropeAppendKv(a.qkv(), attention, kvCache, a.query());
        backend.attention(a.query(), attention, kvCache, a.attended());
        backend.quantize(a.attended(), a.attendedQuantized());
        backend.linear(a.attendedQuantized(), output, Epilogue.RESIDUAL_ADD, a.hidden());

        backend.rmsNormQuantize(a.hidden(), postAttentionNorm, rmsNormEps, a.normed());
        backend.linear(a.normed(), gateUp, Epilogue.SILU_MUL, a.gated());
        backend.quantize(a.gated(), a.gatedQuantized());
        backend.linear(a.gatedQuantized(), down, Epilogue.RESIDUAL_ADD, a.hidden());
    }
}
