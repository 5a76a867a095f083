package io.fireq.engine.quant.smoothing;

import io.fireq.engine.model.ModelConfig;
import java.util.Arrays;

/**
 * The weights of one decoder layer in float32, on their way through transformations that work in place. All are
 * row-major, a row per output channel.
 *
 * @param config     shape of the model
 * @param inputNorm  {@code [hiddenSize]}
 * @param query      {@code [nHeads · headDim, hiddenSize]}
 * @param key        {@code [nKvHeads · headDim, hiddenSize]}
 * @param value      {@code [nKvHeads · headDim, hiddenSize]}
 * @param output     {@code [hiddenSize, nHeads · headDim]}
 * @param postNorm   {@code [hiddenSize]}, the norm before the MLP
 * @param gate       {@code [ffnSize, hiddenSize]}
 * @param up         {@code [ffnSize, hiddenSize]}
 * @param down       {@code [hiddenSize, ffnSize]}
 * @param keySmooth  {@code [nKvHeads · headDim]}: K is multiplied by it after rotation and Q divided by it; ones at first
 */
public record BlockWeights(ModelConfig config, float[] inputNorm, float[] query, float[] key, float[] value,
        float[] output, float[] postNorm, float[] gate, float[] up, float[] down, float[] keySmooth) {

    /** A layer without key smoothing. */
    public static BlockWeights of(ModelConfig config, float[] inputNorm, float[] query, float[] key, float[] value,
            float[] output, float[] postNorm, float[] gate, float[] up, float[] down) {
        float[] ones = new float[config.nKvHeads() * config.headDim()];
        Arrays.fill(ones, 1);
        return new BlockWeights(config, inputNorm, query, key, value, output, postNorm, gate, up, down, ones);
    }

    /** A copy that shares nothing. */
    public BlockWeights copy() {
        return new BlockWeights(config, inputNorm.clone(), query.clone(), key.clone(), value.clone(), output.clone(),
                postNorm.clone(), gate.clone(), up.clone(), down.clone(), keySmooth.clone());
    }

    /** Whether there is a key smoothing to store. */
    public boolean smoothsKeys() {
        for (float s : keySmooth) {
            if (s != 1) {
                return true;
            }
        }
        return false;
    }
}
