package io.fireq.engine.quant;

import io.fireq.engine.model.ModelConfig;
import io.fireq.engine.quant.OutputCorrection.Reference;
import io.fireq.engine.quant.calibration.ActivationFile;
import io.fireq.engine.quant.calibration.BlockRunner;
import io.fireq.engine.quant.smoothing.BlockWeights;
import io.fireq.engine.tensor.Chunks;
import io.fireq.engine.tensor.WeightMatrix;
import io.fireq.engine.weights.v1.TensorReport;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/**
 * Profile {@code best} for one decoder layer after the other. Each linear layer is calibrated on what the quantized
 * model, all that is in front of it included, really feeds it, beside what the unquantized model has there:
 *
 * <pre>{@code
 *   smoothing        decided on a few windows of the unquantized model
 *   pass 1  norm                        → moments → query, key, value
 *   pass 2  attention                   → moments → output
 *   pass 3  + residual, norm            → moments → gate, up
 *   pass 4  silu(gate) · up             → moments → down
 *   pass 5  + residual                  → streams in front of the next layer
 * }</pre>
 */
final class BestBlockQuantizer implements BlockQuantizer {
    private final QuantizerOptions options;
    private final ModelConfig config;
    private final MatrixMath math;
    private final CalibrationSet set;
    private final BlockRunner quantized;
    private final BlockRunner reference;
    private final BlockSmoothing smoothing;
    private final LayerRounding rounding;
    private final OutputCorrection correction;
    private final ProgressMeter meter;

    /**
     * @param quantized computes as the checkpoint will be served
     * @param reference computes in float32
     */
    BestBlockQuantizer(QuantizerOptions options, ModelConfig config, MatrixMath math, CalibrationSet set,
            BlockRunner quantized, BlockRunner reference, ProgressMeter meter) {
        this.options = options;
        this.config = config;
        this.math = math;
        this.set = set;
        this.quantized = quantized;
        this.reference = reference;
        this.meter = meter;
        rounding = new LayerRounding(math, options);
        correction = new OutputCorrection(math);
        smoothing = new BlockSmoothing(options, config, math, rounding, set, reference, meter);
    }

    @Override
    public QuantizedBlock quantize(int layer, BlockWeights original) {
        BlockWeights weights = original.copy();
        BlockSmoothing.Result smoothed = smoothing.apply(layer, weights);
        Reports reports = new Reports(layer, original, weights);
        quantized.inputNorm(weights.inputNorm());
        quantized.postNorm(weights.postNorm());

        Layers qkv = quantize(layer, List.of(LayerNames.QUERY, LayerNames.KEY, LayerNames.VALUE),
                new float[][] {weights.query(), weights.key(), weights.value()}, config.hiddenSize(),
                attentionInputs(), Reference.INPUT);
        quantized.qkv(qkv.matrices(), weights.smoothsKeys() ? weights.keySmooth() : null);
        reports.add(qkv, smoothed.attentionInputExponent());
        reports.addTo(1, Measures.KEY_SCALE_EXPONENT, smoothed.keyExponent());

        int qSize = config.nHeads() * config.headDim();
        Layers output;
        Layers gateUp;
        Layers down;
        double residualError;
        try (ActivationFile attended = set.spill("attended", qSize)) {
            output = quantize(layer, List.of(LayerNames.OUTPUT), new float[][] {weights.output()}, qSize,
                    attentionOutputs(attended), Reference.OUTPUT);
            quantized.output(output.matrices().get(0));
            reports.add(output, Double.NaN);

            gateUp = quantize(layer, List.of(LayerNames.GATE, LayerNames.UP),
                    new float[][] {weights.gate(), weights.up()}, config.hiddenSize(), mlpInputs(attended),
                    Reference.INPUT);
            quantized.gateUp(gateUp.matrices());
            reports.add(gateUp, smoothed.mlpInputExponent());
        }
        try (ActivationFile gated = set.spill("gated", config.ffnSize())) {
            down = quantize(layer, List.of(LayerNames.DOWN), new float[][] {weights.down()}, config.ffnSize(),
                    mlpGated(gated), Reference.OUTPUT);
            quantized.down(down.matrices().get(0));
            residualError = finishStreams(gated);
            reports.add(down, smoothed.downExponent());
        }
        reports.addTo(reports.rows().size() - 1, Measures.RESIDUAL_ERROR, residualError);

        List<WeightMatrix> matrices = new ArrayList<>(qkv.matrices());
        matrices.addAll(output.matrices());
        matrices.addAll(gateUp.matrices());
        matrices.addAll(down.matrices());
        return new QuantizedBlock(matrices, BlockTensors.of(layer, weights), reports.rows(), smoothed.magnitudes());
    }

    /** Matrices that share an input, as they came out. */
    private record Layers(List<LayerRounding.Rounded> rounded, double pull) {
        List<WeightMatrix> matrices() {
            return rounded.stream().<WeightMatrix>map(LayerRounding.Rounded::matrix).toList();
        }
    }

    private Layers quantize(int layer, List<String> names, float[][] matrices, int k, Moments moments,
            Reference kind) {
        List<Matrix> weights = new ArrayList<>();
        try (moments) {
            for (float[] matrix : matrices) {
                weights.add(math.upload(matrix, k));
            }
            double pull = options.has(Part.CORRECTION)
                    ? correction.correct(weights, moments, kind)
                    : Double.POSITIVE_INFINITY;
            List<String> fullNames = names.stream().map(name -> LayerNames.block(layer) + name).toList();
            return new Layers(rounding.round(fullNames, weights, moments), pull);
        } finally {
            Matrix.closeAll(weights);
            meter.step("rounding", 0.05, 1);
        }
    }

    /** Moments with a reference only where something is corrected by it. */
    private Moments moments(int k, int nReference) {
        return new Moments(math, k, options.has(Part.CORRECTION) ? nReference : 0);
    }

    // Passes over the windows.

    private Moments attentionInputs() {
        int hiddenSize = config.hiddenSize();
        Moments moments = moments(hiddenSize, hiddenSize);
        float[] hidden = rows(hiddenSize);
        float[] x = rows(hiddenSize);
        float[] target = rows(hiddenSize);
        for (int w = 0; w < set.nWindows(); w++) {
            set.readQuantized(w, hidden);
            quantized.begin(set.tokens(w), hidden);
            quantized.attentionInput();
            quantized.readNormed(x);
            if (moments.nReference() > 0) {
                set.readReference(w, hidden);
                reference.begin(set.tokens(w), hidden);
                reference.attentionInput();
                reference.readNormed(target);
            }
            moments.add(x, target, set.tokens(w), set.isHeldOut(w));
            meter.step("attention input", 0.08, set.nWindows());
        }
        return moments;
    }

    private Moments attentionOutputs(ActivationFile attended) {
        int qSize = config.nHeads() * config.headDim();
        Moments moments = moments(qSize, config.hiddenSize());
        float[] hidden = rows(config.hiddenSize());
        float[] target = rows(config.hiddenSize());
        float[] x = rows(qSize);
        for (int w = 0; w < set.nWindows(); w++) {
            int nTokens = set.tokens(w);
            set.readReference(w, hidden);
            reference.begin(nTokens, hidden);
            reference.attentionInput();
            reference.qkv();
            reference.attend();
            reference.addAttention();
            reference.readHidden(target);
            set.writeNextReference(w, target);

            set.readQuantized(w, hidden);
            quantized.begin(nTokens, hidden);
            quantized.attentionInput();
            quantized.qkv();
            quantized.attend();
            quantized.readAttended(x);
            attended.write(w, x, nTokens * qSize);
            quantized.readAttendedQuantized(x);
            subtract(target, hidden, nTokens * config.hiddenSize());
            moments.add(x, target, nTokens, set.isHeldOut(w));
            meter.step("attention", 0.32, set.nWindows());
        }
        return moments;
    }

    private Moments mlpInputs(ActivationFile attended) {
        int hiddenSize = config.hiddenSize();
        int qSize = config.nHeads() * config.headDim();
        Moments moments = moments(hiddenSize, hiddenSize);
        float[] hidden = rows(hiddenSize);
        float[] result = rows(qSize);
        float[] x = rows(hiddenSize);
        float[] target = rows(hiddenSize);
        for (int w = 0; w < set.nWindows(); w++) {
            int nTokens = set.tokens(w);
            set.readQuantized(w, hidden);
            attended.read(w, result, nTokens * qSize);
            quantized.begin(nTokens, hidden);
            quantized.writeAttended(result);
            quantized.addAttention();
            quantized.readHidden(hidden);
            set.writeNextQuantized(w, hidden);
            quantized.mlpInput();
            quantized.readNormed(x);
            if (moments.nReference() > 0) {
                set.readNextReference(w, hidden);
                reference.begin(nTokens, hidden);
                reference.mlpInput();
                reference.readNormed(target);
            }
            moments.add(x, target, nTokens, set.isHeldOut(w));
            meter.step("MLP input", 0.1, set.nWindows());
        }
        return moments;
    }

    private Moments mlpGated(ActivationFile gated) {
        int hiddenSize = config.hiddenSize();
        int ffnSize = config.ffnSize();
        Moments moments = moments(ffnSize, hiddenSize);
        float[] hidden = rows(hiddenSize);
        float[] target = rows(hiddenSize);
        float[] x = rows(ffnSize);
        for (int w = 0; w < set.nWindows(); w++) {
            int nTokens = set.tokens(w);
            set.readNextReference(w, hidden);
            reference.begin(nTokens, hidden);
            reference.mlpInput();
            reference.gateUp();
            reference.addMlp();
            reference.readHidden(target);
            set.writeNextReference(w, target);

            set.readNextQuantized(w, hidden);
            quantized.begin(nTokens, hidden);
            quantized.mlpInput();
            quantized.gateUp();
            quantized.readGated(x);
            gated.write(w, x, nTokens * ffnSize);
            quantized.readGatedQuantized(x);
            subtract(target, hidden, nTokens * hiddenSize);
            moments.add(x, target, nTokens, set.isHeldOut(w));
            meter.step("MLP", 0.25, set.nWindows());
        }
        set.referenceIsComplete();
        return moments;
    }

    /** @return the mean, over tokens, of the squared error of the residual stream relative to its square */
    private double finishStreams(ActivationFile gated) {
        int hiddenSize = config.hiddenSize();
        float[] hidden = rows(hiddenSize);
        float[] wanted = rows(hiddenSize);
        float[] result = rows(config.ffnSize());
        double total = 0;
        for (int w = 0; w < set.nWindows(); w++) {
            int nTokens = set.tokens(w);
            set.readNextQuantized(w, hidden);
            gated.read(w, result, nTokens * config.ffnSize());
            quantized.begin(nTokens, hidden);
            quantized.writeGated(result);
            quantized.addMlp();
            quantized.readHidden(hidden);
            set.writeNextQuantized(w, hidden);
            set.readNextReference(w, wanted);
            double[] errors = new double[nTokens];
            Chunks.forEach(nTokens, 16, (begin, end) -> {
                for (int t = begin; t < end; t++) {
                    errors[t] = relativeError(hidden, wanted, t * hiddenSize, hiddenSize);
                }
            });
            for (double error : errors) {
                total += error;
            }
            meter.step("MLP output", 0.05, set.nWindows());
        }
        return total / set.totalTokens();
    }

    private static double relativeError(float[] actual, float[] wanted, int from, int count) {
        double error = 0;
        double square = 0;
        for (int i = from; i < from + count; i++) {
            double difference = actual[i] - wanted[i];
            error += difference * difference;
            square += (double) wanted[i] * wanted[i];
        }
        return square == 0 ? 0 : error / square;
    }

    private float[] rows(int width) {
        return new float[Math.multiplyExact(set.windowLen(), width)];
    }

    private static void subtract(float[] from, float[] what, int count) {
        Chunks.forEach(count, 1 << 16, (begin, end) -> {
            for (int i = begin; i < end; i++) {
                from[i] -= what[i];
            }
        });
    }

    /** The layer's rows of the error table. */
    private final class Reports {
        private final Map<String, float[]> original;
        private final Map<String, float[]> smoothed;
        private final List<TensorReport> rows = new ArrayList<>();

        private Reports(int layer, BlockWeights original, BlockWeights smoothed) {
            this.original = BlockTensors.byName(layer, original);
            this.smoothed = BlockTensors.byName(layer, smoothed);
        }

        private void add(Layers layers, double exponent) {
            for (LayerRounding.Rounded rounded : layers.rounded()) {
                String name = rounded.matrix().name();
                Map<String, Double> measures = new TreeMap<>();
                measures.put(TensorReport.SQNR_DB, rounded.sqnrDb());
                measures.put(Measures.OUTPUT_SQNR_DB, rounded.outputSqnrDb());
                int k = rounded.matrix().k();
                measures.put(Measures.PLAIN_BEFORE_DB, rounding.plainSqnrDb(original.get(name), k));
                measures.put(Measures.PLAIN_AFTER_DB, rounding.plainSqnrDb(smoothed.get(name), k));
                measures.put(Measures.CLIP_SHARE, rounded.clipShare());
                measures.put(Measures.NORMAL_LEVELS, rounded.table() == CodeTable.NORMAL ? 1.0 : 0.0);
                measures.put(Measures.CHANNEL_SCALE_EXPONENT, exponent);
                measures.put(Measures.CORRECTION_PULL, layers.pull());
                rows.add(new TensorReport(name, "int4", rounded.matrix().groupSize(), measures));
            }
        }

        private void addTo(int index, String measure, double value) {
            TensorReport row = rows.get(index);
            Map<String, Double> measures = new TreeMap<>(row.measures());
            measures.put(measure, value);
            rows.set(index, new TensorReport(row.name(), row.format(), row.groupSize(), measures));
        }

        private List<TensorReport> rows() {
            return rows;
        }
    }
}
