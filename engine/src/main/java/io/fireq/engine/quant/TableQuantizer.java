package io.fireq.engine.quant;

import io.fireq.engine.model.ModelConfig;
import io.fireq.engine.quant.QuantizerOptions.TableFormat;
import io.fireq.engine.quant.calibration.BlockRunner;
import io.fireq.engine.quant.calibration.SmoothingMagnitudes;
import io.fireq.engine.quant.smoothing.NormFolding;
import io.fireq.engine.tensor.HostTensor;
import io.fireq.engine.tensor.WeightMatrix;
import io.fireq.engine.weights.v1.TensorReport;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;

/** Quantizes what is in front of the decoder layers and behind them: embedding, final norm and output head. */
final class TableQuantizer {
    private final QuantizerOptions options;
    private final ModelConfig config;
    private final MatrixMath math;

    TableQuantizer(QuantizerOptions options, ModelConfig config, MatrixMath math) {
        this.options = options;
        this.config = config;
        this.math = math;
    }

    /** The windows behind the last decoder layer, and runners to normalize them with. */
    record FinalStreams(CalibrationSet set, BlockRunner quantized, BlockRunner reference) {}

    /** A table rounded by itself. */
    QuantizedBlock plain(String name, float[] table, TableFormat format) {
        int n = config.vocabSize();
        int k = config.hiddenSize();
        WeightMatrix matrix = switch (format) {
            case BF16 -> DataFreeQuantizer.bf16(name, table, n, k);
            case E4M3 -> E4m3RowQuantizer.quantize(name, table, n, k);
            case INT4 -> options.profile() == Profile.PAPER
                    ? new PaperRounding(math).quantize(name, table, n, k, options.groupSizeFor(k))
                    : uncalibrated(name, table, k);
        };
        return piece(matrix, List.of(), report(matrix, format, Map.of(TensorReport.SQNR_DB,
                Sqnr.decibels(table, matrix))));
    }

    private WeightMatrix uncalibrated(String name, float[] table, int k) {
        try (Matrix weights = math.upload(table, k)) {
            return rounding().round(List.of(name), List.of(weights), null).get(0).matrix();
        }
    }

    /** The final norm alone: the head is the embedding. */
    QuantizedBlock norm(float[] norm) {
        return new QuantizedBlock(List.of(), List.of(normTensor(norm)), List.of(), new SmoothingMagnitudes());
    }

    /**
     * The final norm and a head of its own.
     *
     * @param streams null where nothing was watched
     */
    QuantizedBlock head(float[] norm, float[] head, FinalStreams streams) {
        if (options.head() == TableFormat.INT4 && streams != null && options.profile() == Profile.BEST) {
            return calibratedHead(norm, head, streams);
        }
        QuantizedBlock plain = plain(LayerNames.HEAD, head, options.head());
        return piece(plain.matrices().get(0), List.of(normTensor(norm)), plain.reports().get(0));
    }

    private QuantizedBlock calibratedHead(float[] norm, float[] head, FinalStreams streams) {
        int k = config.hiddenSize();
        NormFolding.apply(norm, head);
        streams.quantized.inputNorm(norm);
        streams.reference.inputNorm(norm);
        try (Moments moments = moments(streams, k); Matrix weights = math.upload(head, k)) {
            double pull = options.has(Part.CORRECTION)
                    ? new OutputCorrection(math).correct(List.of(weights), moments, OutputCorrection.Reference.INPUT)
                    : Double.POSITIVE_INFINITY;
            LayerRounding.Rounded rounded =
                    rounding().round(List.of(LayerNames.HEAD), List.of(weights), moments).get(0);
            Map<String, Double> measures = new TreeMap<>();
            measures.put(TensorReport.SQNR_DB, rounded.sqnrDb());
            measures.put(Measures.OUTPUT_SQNR_DB, rounded.outputSqnrDb());
            measures.put(Measures.CLIP_SHARE, rounded.clipShare());
            measures.put(Measures.CORRECTION_PULL, pull);
            return piece(rounded.matrix(), List.of(normTensor(norm)),
                    report(rounded.matrix(), TableFormat.INT4, measures));
        }
    }

    private Moments moments(FinalStreams streams, int k) {
        Moments moments = new Moments(math, k, options.has(Part.CORRECTION) ? k : 0);
        CalibrationSet set = streams.set;
        float[] hidden = new float[set.windowLen() * k];
        float[] x = new float[hidden.length];
        float[] target = new float[hidden.length];
        for (int w = 0; w < set.nWindows(); w++) {
            set.readQuantized(w, hidden);
            streams.quantized.begin(set.tokens(w), hidden);
            streams.quantized.attentionInput();
            streams.quantized.readNormed(x);
            set.readReference(w, hidden);
            streams.reference.begin(set.tokens(w), hidden);
            streams.reference.attentionInput();
            streams.reference.readNormed(target);
            moments.add(x, target, set.tokens(w), set.isHeldOut(w));
        }
        return moments;
    }

    private LayerRounding rounding() {
        return new LayerRounding(math, options);
    }

    private TensorReport report(WeightMatrix matrix, TableFormat format, Map<String, Double> measures) {
        int groupSize = format == TableFormat.INT4 ? options.groupSizeFor(matrix.k()) : 0;
        return new TensorReport(matrix.name(), format.name().toLowerCase(Locale.ROOT), groupSize, measures);
    }

    private static QuantizedBlock piece(WeightMatrix matrix, List<HostTensor> tensors, TensorReport report) {
        return new QuantizedBlock(List.of(matrix), new ArrayList<>(tensors), List.of(report), new SmoothingMagnitudes());
    }

    private static HostTensor normTensor(float[] norm) {
        return HostTensor.ofFloats(LayerNames.FINAL_NORM + ".weight", List.of(norm.length), norm);
    }
}
