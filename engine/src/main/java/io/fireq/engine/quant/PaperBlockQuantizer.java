package io.fireq.engine.quant;

import io.fireq.engine.model.ModelConfig;
import io.fireq.engine.quant.calibration.BlockObserver;
import io.fireq.engine.quant.calibration.BlockRunner;
import io.fireq.engine.quant.calibration.ChannelMagnitudes;
import io.fireq.engine.quant.calibration.Observation;
import io.fireq.engine.quant.calibration.Place;
import io.fireq.engine.quant.smoothing.BlockWeights;
import io.fireq.engine.tensor.WeightMatrix;
import io.fireq.engine.weights.v1.TensorReport;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** Profile {@code paper}: the unquantized model is watched for the scales of K, everything else is in the weights. */
final class PaperBlockQuantizer implements BlockQuantizer {
    private final QuantizerOptions options;
    private final ModelConfig config;
    private final CalibrationSet set;
    private final BlockRunner reference;
    private final ProgressMeter meter;
    private final PaperSmoothing smoothing;
    private final PaperRounding rounding;
    private final LayerRounding plain;

    /** @param set and reference are null where nothing needs to be watched */
    PaperBlockQuantizer(QuantizerOptions options, ModelConfig config, MatrixMath math, CalibrationSet set,
            BlockRunner reference, ProgressMeter meter) {
        this.options = options;
        this.config = config;
        this.set = set;
        this.reference = reference;
        this.meter = meter;
        smoothing = new PaperSmoothing(options.paper(), config);
        rounding = new PaperRounding(math);
        plain = new LayerRounding(math, options);
    }

    @Override
    public QuantizedBlock quantize(int layer, BlockWeights original) {
        BlockWeights weights = original.copy();
        Observation observation = set == null ? null : watchAll(original);
        smoothing.apply(weights, observation);
        ChannelMagnitudes magnitudes = new ChannelMagnitudes();
        if (observation != null) {
            Observation asItCame = watchFirst(original);
            Observation smoothed = watchFirst(weights);
            for (Place place : Place.values()) {
                magnitudes.put(layer, place, asItCame.largest(place), smoothed.largest(place));
            }
        }

        Map<String, float[]> before = BlockTensors.byName(layer, original);
        List<WeightMatrix> matrices = new ArrayList<>();
        List<TensorReport> reports = new ArrayList<>();
        BlockTensors.byName(layer, weights).forEach((name, w) -> {
            int k = w.length / rows(name, layer);
            int groupSize = options.groupSizeFor(k);
            WeightMatrix matrix = options.paper().bf16Scales()
                    ? rounding.quantizeWithBf16Scales(name, w, w.length / k, k, groupSize)
                    : rounding.quantize(name, w, w.length / k, k, groupSize);
            Map<String, Double> measures = new TreeMap<>();
            measures.put(TensorReport.SQNR_DB, Sqnr.decibels(w, matrix));
            measures.put("plain_sqnr_before_smoothing_db", plain.plainSqnrDb(before.get(name), k));
            measures.put("plain_sqnr_after_smoothing_db", plain.plainSqnrDb(w, k));
            matrices.add(matrix);
            reports.add(new TensorReport(name, options.paper().bf16Scales() ? "e4m3" : "int4", groupSize, measures));
        });
        meter.step("rounding", 0.2, 1);
        return new QuantizedBlock(matrices, BlockTensors.of(layer, weights), reports, magnitudes);
    }

    private int rows(String name, int layer) {
        String part = name.substring(LayerNames.block(layer).length());
        return switch (part) {
            case LayerNames.QUERY -> config.nHeads() * config.headDim();
            case LayerNames.KEY, LayerNames.VALUE -> config.nKvHeads() * config.headDim();
            case LayerNames.GATE, LayerNames.UP -> config.ffnSize();
            default -> config.hiddenSize();
        };
    }

    /** All windows pass through the unquantized layer, to the one behind it. */
    private Observation watchAll(BlockWeights weights) {
        ReferenceWeights.load(reference, weights);
        BlockObserver observer = new BlockObserver(config, weights.keySmooth(), 0, set.windowLen());
        float[] hidden = new float[set.windowLen() * config.hiddenSize()];
        for (int w = 0; w < set.nWindows(); w++) {
            set.readReference(w, hidden);
            observer.watch(reference, hidden, set.tokens(w), (place, input, nTokens) -> {});
            reference.addMlp();
            reference.readHidden(hidden);
            set.writeNextReference(w, hidden);
            meter.step("watching", 0.8, set.nWindows());
        }
        return observer.observation();
    }

    /** The first window by itself, for the picture of what smoothing did. */
    private Observation watchFirst(BlockWeights weights) {
        ReferenceWeights.load(reference, weights);
        BlockObserver observer = new BlockObserver(config, weights.keySmooth(), 0, set.windowLen());
        float[] hidden = new float[set.windowLen() * config.hiddenSize()];
        set.readReference(0, hidden);
        observer.watch(reference, hidden, set.tokens(0), (place, input, nTokens) -> {});
        return observer.observation();
    }
}
