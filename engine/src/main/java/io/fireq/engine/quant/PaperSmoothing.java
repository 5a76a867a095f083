package io.fireq.engine.quant;

import io.fireq.engine.model.ModelConfig;
import io.fireq.engine.quant.calibration.Observation;
import io.fireq.engine.quant.calibration.Place;
import io.fireq.engine.quant.smoothing.BlockWeights;
import io.fireq.engine.quant.smoothing.ChannelScales;
import io.fireq.engine.quant.smoothing.PairScaling;
import io.fireq.engine.tensor.Bf16;
import io.fireq.engine.tensor.Chunks;
import java.util.Arrays;
import java.util.Comparator;
import java.util.stream.IntStream;

/**
 * The paper's smoothing of one decoder layer, step by step. Scales are computed from the weights as they came; scalings
 * of inputs come first, those of outputs after them, and behind either the weights are bfloat16 again.
 */
final class PaperSmoothing {
    private final PaperConstants constants;
    private final ModelConfig config;

    PaperSmoothing(PaperConstants constants, ModelConfig config) {
        this.constants = constants;
        this.config = config;
    }

    /** Whether it needs to watch the model. */
    boolean needsObservation() {
        return constants.alpha() > 0 || smoothsRotatedKeys();
    }

    private boolean smoothsRotatedKeys() {
        return constants.beta() > 0 && constants.topK() > 0;
    }

    /** @param observation of the layer in the unquantized model; null if none is needed */
    void apply(BlockWeights weights, Observation observation) {
        double[] attentionInput = constants.attentionInput() == 0
                ? null
                : ChannelScales.overColumnMean(constants.attentionInput(), config.hiddenSize(), weights.query(),
                        weights.key(), weights.value());
        double[] lambda2 = constants.upGate() == 0
                ? null
                : ChannelScales.overColumnMean(constants.upGate(), config.hiddenSize(), weights.up(), weights.gate());
        double[] lambda3 = constants.down() == 0
                ? null
                : ChannelScales.overColumnMean(constants.down(), config.ffnSize(), weights.down());
        double[] lambda1 = valueScales(weights);

        if (attentionInput != null) {
            PairScaling.attentionInput(weights, attentionInput);
        }
        if (lambda2 != null) {
            PairScaling.mlpInput(weights, lambda2);
        }
        roundToBf16(weights);

        PairScaling.valueOutput(weights, lambda1);
        if (lambda3 != null) {
            PairScaling.upDown(weights, lambda3);
        }
        if (observation != null) {
            boolean[] smoothed = smoothsRotatedKeys()
                    ? largestChannels(observation.largest(Place.KEY))
                    : new boolean[Place.KEY.width(config)];
            PairScaling.keyQuery(weights, pairScales(observation.largestKeyPair(), smoothed));
            PairScaling.rotatedKey(weights, rotatedScales(observation.largest(Place.KEY), smoothed));
        }
        roundToBf16(weights);
    }

    /** Λ1 of output's columns: one factor, or one per channel, the same for the query heads that share it. */
    private double[] valueScales(BlockWeights weights) {
        double[] scales = new double[Place.VALUE.width(config)];
        Arrays.fill(scales, 1 / constants.value());
        if (constants.output() == 0) {
            return scales;
        }
        int headDim = config.headDim();
        int queriesPerHead = config.nHeads() / config.nKvHeads();
        double[] columns = ChannelScales.overColumnMean(constants.output(), config.nHeads() * headDim,
                weights.output());
        for (int c = 0; c < scales.length; c++) {
            double means = 0; // of the columns' magnitudes, which the scales are the inverse of
            for (int query = 0; query < queriesPerHead; query++) {
                means += 1 / columns[(c / headDim * queriesPerHead + query) * headDim + c % headDim];
            }
            scales[c] *= queriesPerHead / means;
        }
        return scales;
    }

    /** T: in each head the channels of the largest magnitudes and those they rotate with. */
    private boolean[] largestChannels(float[] largest) {
        int headDim = config.headDim();
        boolean[] chosen = new boolean[largest.length];
        for (int head = 0; head < config.nKvHeads(); head++) {
            int base = head * headDim;
            IntStream.range(0, headDim).boxed()
                    .sorted(Comparator.comparingDouble((Integer c) -> -largest[base + c]))
                    .limit(constants.topK())
                    .forEach(c -> {
                        chosen[base + c] = true;
                        chosen[base + (c + headDim / 2) % headDim] = true;
                    });
        }
        return chosen;
    }

    /** N = α / R outside of T. */
    private double[] pairScales(float[] largestPair, boolean[] smoothed) {
        double[] scales = new double[largestPair.length];
        for (int c = 0; c < scales.length; c++) {
            boolean scaled = constants.alpha() > 0 && !smoothed[c] && largestPair[c] > 0;
            scales[c] = scaled ? constants.alpha() / largestPair[c] : 1;
        }
        return scales;
    }

    /** S = β / A inside of T. */
    private double[] rotatedScales(float[] largest, boolean[] smoothed) {
        double[] scales = new double[largest.length];
        for (int c = 0; c < scales.length; c++) {
            scales[c] = smoothed[c] && largest[c] > 0 ? constants.beta() / largest[c] : 1;
        }
        return scales;
    }

    private static void roundToBf16(BlockWeights weights) {
        for (float[] w : new float[][] {weights.inputNorm(), weights.query(), weights.key(), weights.value(),
                weights.output(), weights.postNorm(), weights.gate(), weights.up(), weights.down()}) {
            Chunks.forEach(w.length, 1 << 16, (begin, end) -> {
                for (int i = begin; i < end; i++) {
                    w[i] = Bf16.round(w[i]);
                }
            });
        }
    }
}
