package io.fireq.engine.quant;

import io.fireq.engine.model.ModelConfig;
import io.fireq.engine.quant.calibration.SmoothingMagnitudes;
import io.fireq.engine.quant.smoothing.BlockWeights;
import io.fireq.engine.quant.smoothing.NormFolding;
import io.fireq.engine.quant.smoothing.PowerOfTwoScaling;
import io.fireq.engine.quant.smoothing.ResidualRotation;
import io.fireq.engine.quant.smoothing.ValueHadamard;
import io.fireq.engine.tensor.WeightMatrix;
import io.fireq.engine.weights.v1.TensorReport;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** Profile {@code best} without the parts that watch the model read: scales are searched for the weights alone. */
final class PlainBlockQuantizer implements BlockQuantizer {
    private final QuantizerOptions options;
    private final ModelConfig config;
    private final MatrixMath math;
    private final LayerRounding rounding;
    private final ProgressMeter meter;

    PlainBlockQuantizer(QuantizerOptions options, ModelConfig config, MatrixMath math, ProgressMeter meter) {
        this.options = options;
        this.config = config;
        this.math = math;
        this.rounding = new LayerRounding(math, options);
        this.meter = meter;
    }

    @Override
    public QuantizedBlock quantize(int layer, BlockWeights original) {
        BlockWeights weights = original.copy();
        NormFolding.apply(weights);
        if (options.has(Part.POWER_OF_TWO_SCALES)) {
            PowerOfTwoScaling.apply(weights);
        }
        if (options.has(Part.RESIDUAL_ROTATION)) {
            new ResidualRotation(config.hiddenSize(), options.calibration().seed()).apply(weights);
        }
        if (options.has(Part.VALUE_HADAMARD)) {
            ValueHadamard.apply(weights);
        }
        List<WeightMatrix> matrices = new ArrayList<>();
        List<TensorReport> reports = new ArrayList<>();
        int hiddenSize = config.hiddenSize();
        add(layer, List.of(LayerNames.QUERY, LayerNames.KEY, LayerNames.VALUE), hiddenSize, matrices, reports,
                weights.query(), weights.key(), weights.value());
        add(layer, List.of(LayerNames.OUTPUT), config.nHeads() * config.headDim(), matrices, reports,
                weights.output());
        add(layer, List.of(LayerNames.GATE, LayerNames.UP), hiddenSize, matrices, reports, weights.gate(),
                weights.up());
        add(layer, List.of(LayerNames.DOWN), config.ffnSize(), matrices, reports, weights.down());
        return new QuantizedBlock(matrices, BlockTensors.of(layer, weights), reports, new SmoothingMagnitudes());
    }

    private void add(int layer, List<String> names, int k, List<WeightMatrix> matrices, List<TensorReport> reports,
            float[]... weights) {
        List<String> fullNames = names.stream().map(name -> LayerNames.block(layer) + name).toList();
        List<Matrix> uploaded = new ArrayList<>();
        try {
            for (float[] w : weights) {
                uploaded.add(math.upload(w, k));
            }
            for (LayerRounding.Rounded rounded : rounding.round(fullNames, uploaded, null)) {
                Map<String, Double> measures = new TreeMap<>();
                measures.put(TensorReport.SQNR_DB, rounded.sqnrDb());
                measures.put(Measures.CLIP_SHARE, rounded.clipShare());
                measures.put(Measures.NORMAL_LEVELS, rounded.table() == CodeTable.NORMAL ? 1.0 : 0.0);
                matrices.add(rounded.matrix());
                reports.add(new TensorReport(rounded.matrix().name(), "int4", rounded.matrix().groupSize(), measures));
            }
        } finally {
            Matrix.closeAll(uploaded);
        }
        meter.step("rounding", 0.25, 1);
    }
}
