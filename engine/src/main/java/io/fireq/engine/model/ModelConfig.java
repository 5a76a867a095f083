package io.fireq.engine.model;

import io.fireq.engine.api.ModelFormatException;
import io.fireq.engine.api.ModelNotFoundException;
import io.fireq.engine.api.UnsupportedModelException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.OptionalInt;

/**
 * Hyper-parameters of a Llama, from config.json.
 *
 * @param architecture   the name in config.json
 * @param hiddenSize     width of the residual stream
 * @param ffnSize        width inside of the feed-forward block
 * @param nLayers        decoder layers
 * @param nHeads         query heads; a multiple of nKvHeads
 * @param nKvHeads       K/V heads
 * @param headDim        values per head; even
 * @param vocabSize      rows of the embedding
 * @param maxPositions   most tokens of context
 * @param rmsNormEps     ε of the norms
 * @param ropeTheta      base of the rotary frequencies
 * @param ropeScaling    how they are stretched
 * @param tieEmbeddings  whether the output head is the embedding
 * @param bosId          token that starts a text
 * @param eosIds         tokens that end a text; may be empty
 */
public record ModelConfig(String architecture, int hiddenSize, int ffnSize, int nLayers, int nHeads, int nKvHeads,
        int headDim, int vocabSize, int maxPositions, float rmsNormEps, double ropeTheta, RopeScaling ropeScaling,
        boolean tieEmbeddings, OptionalInt bosId, int[] eosIds) {

    public ModelConfig {
        eosIds = eosIds.clone();
    }

    /**
     * Reads config.json of a model directory.
     *
     * @throws ModelNotFoundException    when there is none
     * @throws ModelFormatException      when a value is missing, malformed or absurd
     * @throws UnsupportedModelException when the model is no Llama, or one with features that FireQ does not run
     */
    public static ModelConfig read(Path directory) {
        return ModelConfigReader.read(directory);
    }

    /** {@code [headDim/2]} angles by which channel pair i turns per position, in radians; computed in double. */
    public float[] ropeInverseFrequencies() {
        float[] frequencies = new float[headDim / 2];
        for (int i = 0; i < frequencies.length; i++) {
            frequencies[i] = (float) ropeScaling.scale(Math.pow(ropeTheta, -2.0 * i / headDim));
        }
        return frequencies;
    }

    @Override
    public int[] eosIds() {
        return eosIds.clone();
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof ModelConfig c && architecture.equals(c.architecture) && hiddenSize == c.hiddenSize
                && ffnSize == c.ffnSize && nLayers == c.nLayers && nHeads == c.nHeads && nKvHeads == c.nKvHeads
                && headDim == c.headDim && vocabSize == c.vocabSize && maxPositions == c.maxPositions
                && rmsNormEps == c.rmsNormEps && ropeTheta == c.ropeTheta && ropeScaling.equals(c.ropeScaling)
                && tieEmbeddings == c.tieEmbeddings && bosId.equals(c.bosId) && Arrays.equals(eosIds, c.eosIds);
    }

    @Override
    public int hashCode() {
        return Arrays.hashCode(new Object[] {architecture, hiddenSize, ffnSize, nLayers, vocabSize});
    }
}
