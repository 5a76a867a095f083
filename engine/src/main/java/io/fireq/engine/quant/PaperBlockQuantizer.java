package io.fireq.engine.quant;

import io.fireq.engine.model.ModelConfig;
import io.fireq.engine.quant.calibration.BlockObserver;
import io.fireq.engine.quant.calibration.BlockRunner;
import io.fireq.engine.quant.calibration.SmoothingMagnitudes;
import io.fireq.engine.quant.calibration.Observation;
import io.fireq.engine.quant.calibration.Place;
import io.fireq.engine.quant.smoothing.BlockWeights;
import io.fireq.engine.tensor.Int4Matrix;
import io.fireq.engine.tensor.WeightMatrix;
import io.fireq.engine.weights.v1.TensorReport;
import java.util.ArrayList;
import java.util.EnumMap;
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
        Map<Place, float[]> asItCame = new EnumMap<>(Place.class);
        Observation observation = set == null ? null : watchAll(original, asItCame);
        smoothing.apply(weights, observation);
        SmoothingMagnitudes magnitudes = new SmoothingMagnitudes();
        if (observation != null) {
            Observation smoothed = watchFirst(weights);
            for (Place place : Place.values()) {
                magnitudes.put(layer, place, asItCame.get(place), smoothed.largest(place));
            }
        }

        Map<String, float[]> before = BlockTensors.byName(layer, original);
        Map<String, float[]> after = BlockTensors.byName(layer, weights);
        List<WeightMatrix> matrices = new ArrayList<>();
        List<TensorReport> reports = new ArrayList<>();
        for (LayerNames.Linear linear : LayerNames.linears(config, layer)) {
            round(linear, before.get(linear.name()), after.get(linear.name()), matrices, reports);
        }
        meter.step("rounding", 0.2, 1);
        return new QuantizedBlock(matrices, BlockTensors.of(layer, weights), reports, magnitudes);
    }

    private void round(LayerNames.Linear linear, float[] before, float[] after, List<WeightMatrix> matrices,
            List<TensorReport> reports) {
        int k = linear.k();
        int groupSize = options.groupSizeFor(k);
        Map<String, Double> measures = new TreeMap<>();
        WeightMatrix matrix;
        if (options.paper().bf16Scales()) {
            matrix = rounding.quantizeWithBf16Scales(linear.name(), after, linear.n(), k, groupSize);
        } else {
            Int4Matrix int4 = rounding.quantize(linear.name(), after, linear.n(), k, groupSize);
            measures.put(Measures.MULTIPLIER, 1.0 / int4.rowScale()[0]);
            matrix = int4;
        }
        measures.put(TensorReport.SQNR_DB, Sqnr.decibels(after, matrix));
        measures.put(Measures.PLAIN_BEFORE_DB, plain.plainSqnrDb(before, k));
        measures.put(Measures.PLAIN_AFTER_DB, plain.plainSqnrDb(after, k));
        matrices.add(matrix);
        reports.add(options.paper().bf16Scales()
                ? new TensorReport(linear.name(), "e4m3", 0, measures)
                : new TensorReport(linear.name(), "int4", groupSize, measures));
    }

    /**
     * All windows pass through the unquantized layer, to the one behind it.
     *
     * @param first receives the largest magnitudes of the first window
     */
    private Observation watchAll(BlockWeights weights, Map<Place, float[]> first) {
        ReferenceWeights.load(reference, weights);
        BlockObserver observer = new BlockObserver(config, weights.keySmooth(), 0, set.windowLen()).magnitudesOnly();
        float[] hidden = new float[set.windowLen() * config.hiddenSize()];
        for (int w = 0; w < set.nWindows(); w++) {
            set.readReference(w, hidden);
            observer.watch(reference, hidden, set.tokens(w), (place, input, nTokens) -> {});
            if (w == 0) {
                for (Place place : Place.values()) {
                    first.put(place, observer.observation().largest(place));
                }
            }
            reference.addMlp();
            reference.readHidden(hidden);
            set.writeNextReference(w, hidden);
            meter.step("watching", 0.8, set.nWindows());
        }
        set.referenceIsComplete();
        return observer.observation();
    }

    /** The first window by itself, for the picture of what smoothing did. */
    private Observation watchFirst(BlockWeights weights) {
        ReferenceWeights.load(reference, weights);
        BlockObserver observer = new BlockObserver(config, weights.keySmooth(), 0, set.windowLen()).magnitudesOnly();
        float[] hidden = new float[set.windowLen() * config.hiddenSize()];
        set.readReference(0, hidden);
        observer.watch(reference, hidden, set.tokens(0), (place, input, nTokens) -> {});
        return observer.observation();
    }
}
