package io.fireq.engine.quant;

import io.fireq.engine.model.ModelConfig;
import io.fireq.engine.quant.calibration.BlockObserver;
import io.fireq.engine.quant.calibration.BlockRunner;
import io.fireq.engine.quant.calibration.SmoothingMagnitudes;
import io.fireq.engine.quant.calibration.Observation;
import io.fireq.engine.quant.calibration.Place;
import io.fireq.engine.quant.calibration.QueryKeySamples;
import io.fireq.engine.quant.smoothing.BlockWeights;
import io.fireq.engine.quant.smoothing.ChannelScales;
import io.fireq.engine.quant.smoothing.Hadamard;
import io.fireq.engine.quant.smoothing.NormFolding;
import io.fireq.engine.quant.smoothing.PairScaling;
import io.fireq.engine.quant.smoothing.PowerOfTwoScaling;
import io.fireq.engine.quant.smoothing.ResidualRotation;
import io.fireq.engine.quant.smoothing.ValueHadamard;
import java.util.EnumMap;
import java.util.Map;

/**
 * Smoothing as profile {@code best} does it: what a decoder layer computes stays, its weights and its cache become
 * easier to round. First everything that only notes how a channel was scaled is taken out, then a few windows pass
 * through the unquantized layer, then scales are chosen by what rounding costs under them.
 */
final class BlockSmoothing {
    /** Windows that are watched. */
    private static final int WATCHED = 4;
    /** Shares of the activations in a channel's scale. */
    private static final double[] CHANNEL_EXPONENTS = {0, 0.1, 0.25, 0.4, 0.55};
    /** Shares of Q in the scale of a K channel. */
    private static final double[] KEY_EXPONENTS = {0.3, 0.4, 0.5, 0.6, 0.7};

    private final QuantizerOptions options;
    private final ModelConfig config;
    private final MatrixMath math;
    private final LayerRounding rounding;
    private final CalibrationSet set;
    private final BlockRunner reference;
    private final ProgressMeter meter;
    private final ResidualRotation rotation;

    BlockSmoothing(QuantizerOptions options, ModelConfig config, MatrixMath math, LayerRounding rounding,
            CalibrationSet set, BlockRunner reference, ProgressMeter meter) {
        this.options = options;
        this.config = config;
        this.math = math;
        this.rounding = rounding;
        this.set = set;
        this.reference = reference;
        this.meter = meter;
        rotation = options.has(Part.RESIDUAL_ROTATION)
                ? new ResidualRotation(config.hiddenSize(), options.calibration().seed())
                : null;
    }

    /**
     * Exponents that were chosen; NaN where none was.
     *
     * @param magnitudes what flowed before and after
     */
    record Result(double attentionInputExponent, double mlpInputExponent, double downExponent, double keyExponent,
            SmoothingMagnitudes magnitudes) {}

    /** The Hadamard block of Q and K that goes with the options. */
    static int hadamardBlock(QuantizerOptions options, ModelConfig config) {
        return options.profile() == Profile.BEST && options.has(Part.KEY_HADAMARD)
                ? Hadamard.blockOfHead(config.headDim())
                : 0;
    }

    /** Channels of a head that share a scale in the KV cache. */
    static int kvGroupSize(QuantizerOptions options, ModelConfig config) {
        return options.kvGroupSize() == 0 ? config.headDim() : options.kvGroupSize();
    }

    /** Transforms the weights in place; the reference has them in the end. */
    Result apply(int layer, BlockWeights weights) {
        Observation asItCame = rotation == null ? watch(weights, 0, false).observation() : null;
        NormFolding.apply(weights);
        if (options.has(Part.POWER_OF_TWO_SCALES)) {
            PowerOfTwoScaling.apply(weights);
        }
        if (rotation != null) {
            rotation.apply(weights);
        }
        Watched watched = watch(weights, 0, true);
        if (options.has(Part.CHANNEL_SCALES)) {
            balanceValues(weights, watched.observation());
        }
        if (options.has(Part.VALUE_HADAMARD)) {
            ValueHadamard.apply(weights);
        }
        double key = options.has(Part.KEY_SCALES) ? balanceKeys(weights, watched) : Double.NaN;
        double attention = Double.NaN;
        double mlp = Double.NaN;
        double down = Double.NaN;
        if (options.has(Part.CHANNEL_SCALES)) {
            int hiddenSize = config.hiddenSize();
            Choice forAttention = choose(watched, Place.ATTENTION_INPUT, hiddenSize, weights.query(), weights.key(),
                    weights.value());
            PairScaling.attentionInput(weights, forAttention.scales());
            attention = forAttention.exponent();
            Choice forMlp = choose(watched, Place.MLP_INPUT, hiddenSize, weights.gate(), weights.up());
            PairScaling.mlpInput(weights, forMlp.scales());
            mlp = forMlp.exponent();
            Choice forDown = choose(watched, Place.MLP_GATED, config.ffnSize(), weights.down());
            PairScaling.upDown(weights, forDown.scales());
            down = forDown.exponent();
        }
        Observation smoothed = watch(weights, hadamardBlock(options, config), false).observation();
        SmoothingMagnitudes magnitudes = new SmoothingMagnitudes();
        Observation before = asItCame == null ? watched.observation() : asItCame;
        for (Place place : Place.values()) {
            magnitudes.put(layer, place, before.largest(place), smoothed.largest(place));
        }
        return new Result(attention, mlp, down, key, magnitudes);
    }

    /** Magnitudes of the channels on the watched windows, and moments of the inputs where they were wanted. */
    private record Watched(Observation observation, QueryKeySamples samples, Map<Place, Moments> moments) {}

    /** @param toChoose whether choices depend on it, which need more than magnitudes */
    private Watched watch(BlockWeights weights, int hadamardBlock, boolean toChoose) {
        ReferenceWeights.load(reference, weights);
        BlockObserver observer = new BlockObserver(config, weights.keySmooth(), hadamardBlock, set.windowLen());
        if (!toChoose) {
            observer.magnitudesOnly();
        }
        Map<Place, Moments> moments = new EnumMap<>(Place.class);
        if (toChoose && options.has(Part.CHANNEL_SCALES)) {
            for (Place place : new Place[] {Place.ATTENTION_INPUT, Place.MLP_INPUT, Place.MLP_GATED}) {
                moments.put(place, new Moments(math, place.width(config), 0));
            }
        }
        float[] hidden = new float[set.windowLen() * config.hiddenSize()];
        int count = Math.min(WATCHED, set.nWindows());
        for (int i = 0; i < count; i++) {
            int window = i * set.nWindows() / count;
            set.readReference(window, hidden);
            observer.watch(reference, hidden, set.tokens(window), (place, input, nTokens) -> {
                if (moments.containsKey(place)) {
                    moments.get(place).add(input, null, nTokens, false);
                }
            });
            meter.step("watching", 0.02, count);
        }
        return new Watched(observer.observation(), observer.samples(), moments);
    }

    /** V and the columns that take it get equal shares of their product: 4 bits for one are worth as much as for the other. */
    private void balanceValues(BlockWeights weights, Observation observation) {
        int headDim = config.headDim();
        int queriesPerHead = config.nHeads() / config.nKvHeads();
        double[] columns = ChannelScales.columnRms(config.nHeads() * headDim, weights.output());
        double[] shared = new double[config.nKvHeads() * headDim];
        for (int c = 0; c < columns.length; c++) {
            int kvHead = c / headDim / queriesPerHead;
            shared[kvHead * headDim + c % headDim] += columns[c] * columns[c] / queriesPerHead;
        }
        for (int c = 0; c < shared.length; c++) {
            shared[c] = Math.sqrt(shared[c]);
        }
        PairScaling.valueOutput(weights, ChannelScales.balanced(observation.rms(Place.VALUE), shared, 0.5));
    }

    private double balanceKeys(BlockWeights weights, Watched watched) {
        double[] queries = queryRms(watched.observation());
        double[] keys = watched.observation().rms(Place.KEY);
        double[] best = null;
        double bestExponent = Double.NaN;
        double bestError = Double.POSITIVE_INFINITY;
        for (double exponent : KEY_EXPONENTS) {
            double[] scales = ChannelScales.balanced(queries, keys, exponent);
            double error = watched.samples().scoreError(scales, hadamardBlock(options, config),
                    kvGroupSize(options, config));
            if (error < bestError) {
                best = scales;
                bestExponent = exponent;
                bestError = error;
            }
        }
        if (best != null) { // null if nothing finite was watched
            PairScaling.rotatedKey(weights, best);
        }
        return bestExponent;
    }

    /** Per K channel: root mean square over the query heads that meet it. */
    private double[] queryRms(Observation observation) {
        double[] rms = observation.rms(Place.QUERY);
        int headDim = config.headDim();
        int queriesPerHead = config.nHeads() / config.nKvHeads();
        double[] shared = new double[config.nKvHeads() * headDim];
        for (int c = 0; c < rms.length; c++) {
            shared[c / headDim / queriesPerHead * headDim + c % headDim] += rms[c] * rms[c] / queriesPerHead;
        }
        for (int c = 0; c < shared.length; c++) {
            shared[c] = Math.sqrt(shared[c]);
        }
        return shared;
    }

    private record Choice(double exponent, double[] scales) {}

    private Choice choose(Watched watched, Place place, int k, float[]... matrices) {
        double[] activations = watched.observation().rms(place);
        double[] weights = ChannelScales.columnRms(k, matrices);
        Choice best = null;
        double bestError = Double.POSITIVE_INFINITY;
        try (Moments moments = watched.moments().remove(place);
                LayerRounding.Steps steps = rounding.steps(moments.joined().gram(), moments.tokens())) {
            for (double exponent : CHANNEL_EXPONENTS) {
                double[] scales = ChannelScales.balanced(activations, weights, exponent);
                double error = rounding.quickError(matrices, k, scales, steps);
                if (best == null || error < bestError) {
                    best = new Choice(exponent, scales);
                    bestError = error;
                }
            }
        }
        return best;
    }
}
