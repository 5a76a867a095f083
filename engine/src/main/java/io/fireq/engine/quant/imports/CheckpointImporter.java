package io.fireq.engine.quant.imports;

import io.fireq.engine.api.FireqException;
import io.fireq.engine.api.ModelFormatException;
import io.fireq.engine.api.UnsupportedModelException;
import io.fireq.engine.model.ModelConfig;
import io.fireq.engine.quant.CompanionFiles;
import io.fireq.engine.quant.DataFreeQuantizer;
import io.fireq.engine.quant.LayerNames;
import io.fireq.engine.quant.QuantizerOptions.TableFormat;
import io.fireq.engine.quant.Sqnr;
import io.fireq.engine.quant.smoothing.Hadamard;
import io.fireq.engine.tensor.E4m3Matrix;
import io.fireq.engine.tensor.Int4Matrix;
import io.fireq.engine.tensor.WeightMatrix;
import io.fireq.engine.weights.Checkpoint;
import io.fireq.engine.weights.QuantizedCheckpointWriter;
import io.fireq.engine.weights.v1.QuantizationInfo.KvCache;
import io.fireq.engine.weights.v1.QuantizationInfo;
import io.fireq.engine.weights.v1.TensorReport;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeSet;

/**
 * Turns a checkpoint that another method has quantized to 4 bits into a FireQ checkpoint. Codes are kept and only scales
 * are rounded, exactly where that is possible; a layer for which it is not is refused, or stored as
 * {@link ImportOptions.Fallback} says. Norms are copied, embedding and head become e4m3 as in the quantizer. Memory is
 * bounded by one layer; same input and options give the same bytes.
 */
public final class CheckpointImporter {
    /** The profile of an imported checkpoint. */
    public static final String PROFILE = "imported";
    /** A measure in the error table: 1 where a layer has the source's codes, 0 where it was rounded again. */
    public static final String CODES_KEPT = "codes_kept";

    private final ImportOptions options;
    private final Progress progress;

    public CheckpointImporter(ImportOptions options, Progress progress) {
        this.options = options;
        this.progress = progress;
    }

    /** Whether another method than FireQ's has quantized the weights of this directory, importable or not. */
    public static boolean isForeign(Path directory) {
        return ForeignQuantization.read(directory).filter(foreign -> !foreign.isFireq()).isPresent();
    }

    /**
     * Imports {@code source} into the new directory {@code target}. Either the whole checkpoint appears there or nothing.
     *
     * @return the error table, against the weights of the source; embedding and head last
     * @throws UnsupportedModelException if the source, or a layer of it, is of a kind that is not imported
     * @throws ModelFormatException      if the source contradicts itself
     * @throws FireqException            if reading or writing fails
     */
    public List<TensorReport> importInto(Path source, Path target) {
        ModelConfig config = ModelConfig.read(source);
        ForeignQuantization foreign = ForeignQuantization.read(source).orElseThrow(() -> new UnsupportedModelException(
                ("Importing %s: config.json has no quantization_config, so the weights are not quantized; use 'fireq "
                        + "quantize'").formatted(source)));
        SourceLayout layout = foreign.layout();
        try (Checkpoint checkpoint = Checkpoint.openForeign(source)) {
            List<SourceLayer> layers = SourceLayer.all(config, checkpoint);
            layers.forEach(layer -> requireNothingUnknown(layer, layout));
            try (QuantizedCheckpointWriter writer = QuantizedCheckpointWriter.create(target,
                    source.resolve("config.json"), info(config, foreign, layout))) {
                List<TensorReport> reports = new ArrayList<>();
                int total = layers.size() + (sharesTable(config) ? 1 : 2);
                for (SourceLayer layer : layers) {
                    add(convert(layer, layout), writer, reports, total);
                }
                addTables(config, checkpoint, writer, reports, total);
                SourceLayer.norms(config, checkpoint).forEach(writer::addTensor);
                for (Path file : CompanionFiles.of(source)) {
                    writer.copyFile(file);
                }
                writer.finish();
                return reports;
            }
        }
    }

    private static QuantizationInfo info(ModelConfig config, ForeignQuantization foreign, SourceLayout layout) {
        Map<String, Object> facts = new LinkedHashMap<>();
        facts.put("imported_from", foreign.method());
        facts.put("source_layout", layout.description());
        int groupSize = layout.groupSize() == -1 ? config.hiddenSize() : layout.groupSize();
        // The cache is FireQ's own: K is mixed as profile best mixes it, which needs no calibration.
        KvCache cache = new KvCache(KvCache.Kind.ASYMMETRIC, config.headDim(), Hadamard.blockOfHead(config.headDim()));
        return new QuantizationInfo(PROFILE, groupSize, cache, facts, List.of(), Map.of());
    }

    /** Nothing that belongs to a linear layer is dropped unless it is known to be of no effect. */
    private static void requireNothingUnknown(SourceLayer layer, SourceLayout layout) {
        TreeSet<String> unknown = new TreeSet<>(layer.tensors().suffixes());
        unknown.removeAll(layout.suffixes());
        unknown.remove(".weight");
        if (unknown.remove(".bias")) {
            for (float bias : layer.tensors().floats(".bias", layer.n())) {
                if (bias != 0) {
                    throw new UnsupportedModelException(("Importing '%s': it has a bias, %s in one place; supported are "
                            + "layers without bias; choose another model").formatted(layer.tensors(), bias));
                }
            }
        }
        if (!unknown.isEmpty()) {
            throw new UnsupportedModelException("Importing '%s': its tensor '%s' has no meaning in %s; %s".formatted(
                    layer.tensors(), layer.tensors() + unknown.first(), layout.description(), Refusals.REMEDY));
        }
    }

    private Converted convert(SourceLayer layer, SourceLayout layout) {
        if (!layout.isPresent(layer.tensors())) {
            FloatWeights plain = FloatWeights.read(layer.tensors(), layer.n(), layer.k());
            return fallback(plain, layout.groupSize(), "the source left its weight unquantized, "
                    + plain.tensor().dtype());
        }
        GroupedInt4 source = layout.read(layer.tensors(), layer.n(), layer.k());
        int groupSize = source.k() / source.groups();
        Optional<String> misfit = ScaleFit.misfit(source);
        if (misfit.isPresent()) {
            return fallback(source, groupSize, misfit.get());
        }
        Int4Matrix fitted = ScaleFit.fit(source);
        double sqnrDb = Sqnr.decibels(source::get, fitted);
        return sqnrDb >= options.minSqnrDb()
                ? new Converted(fitted, groupSize, Map.of(TensorReport.SQNR_DB, sqnrDb, CODES_KEPT, 1.0))
                : fallback(source, groupSize, String.format(Locale.ROOT, "rounding its scales to e4m3 leaves a signal to "
                        + "noise ratio of %.2f dB, and %.2f are required", sqnrDb, options.minSqnrDb()));
    }

    private Converted fallback(SourceWeights source, int groupSize, String misfit) {
        return switch (options.fallback()) {
            case NONE -> throw new UnsupportedModelException(("Importing '%s': %s; let 'fireq import' store such layers "
                    + "as e4m3 with --fallback fp8, twice the memory, or round them again with --fallback int4, which "
                    + "costs accuracy, or %s").formatted(source.name(), misfit, Refusals.REMEDY));
            case FP8 -> rounded(source, 0,
                    DataFreeQuantizer.e4m3(source.name(), source.toFloats(), source.n(), source.k()));
            case INT4 -> {
                boolean fits = groupSize > 0 && groupSize % 2 == 0 && source.k() % groupSize == 0;
                int fitting = fits ? groupSize : source.k();
                yield rounded(source, fitting, DataFreeQuantizer.int4(source.name(), source.toFloats(), source.n(),
                        source.k(), fitting));
            }
        };
    }

    private static Converted rounded(SourceWeights source, int groupSize, WeightMatrix matrix) {
        return new Converted(matrix, groupSize, Map.of(TensorReport.SQNR_DB, Sqnr.decibels(source::get, matrix), CODES_KEPT, 0.0));
    }

    private void addTables(ModelConfig config, Checkpoint checkpoint, QuantizedCheckpointWriter writer,
            List<TensorReport> reports, int total) {
        FloatWeights embedding = table(checkpoint, LayerNames.EMBEDDING, config);
        add(converted(embedding, LayerNames.EMBEDDING, options.embedding()), writer, reports, total);
        if (!config.tieEmbeddings()) {
            add(converted(table(checkpoint, LayerNames.HEAD, config), LayerNames.HEAD, TableFormat.E4M3), writer, reports, total);
        } else if (!sharesTable(config)) {
            add(converted(embedding, LayerNames.HEAD, TableFormat.E4M3), writer, reports, total);
        }
    }

    private boolean sharesTable(ModelConfig config) {
        return config.tieEmbeddings() && options.embedding() == TableFormat.E4M3;
    }

    private static FloatWeights table(Checkpoint checkpoint, String name, ModelConfig config) {
        LayerTensors tensors = new LayerTensors(checkpoint, name);
        TreeSet<String> others = new TreeSet<>(tensors.suffixes());
        others.remove(".weight");
        if (!others.isEmpty()) {
            throw new UnsupportedModelException(("Importing '%s': it has a tensor '%s', so it is quantized or has a bias; "
                    + "supported are unquantized embeddings and heads; %s").formatted(name, name + others.first(),
                            Refusals.REMEDY));
        }
        return FloatWeights.read(tensors, config.vocabSize(), config.hiddenSize());
    }

    private static Converted converted(FloatWeights source, String name, TableFormat format) {
        float[] weights = source.toFloats();
        WeightMatrix matrix = format == TableFormat.BF16
                ? DataFreeQuantizer.bf16(name, weights, source.n(), source.k())
                : DataFreeQuantizer.e4m3(name, weights, source.n(), source.k());
        return new Converted(matrix, 0, Map.of(TensorReport.SQNR_DB, Sqnr.decibels(source::get, matrix)));
    }

    private void add(Converted converted, QuantizedCheckpointWriter writer, List<TensorReport> reports, int total) {
        WeightMatrix matrix = converted.matrix();
        String format = matrix instanceof Int4Matrix ? "int4" : matrix instanceof E4m3Matrix ? "e4m3" : "bf16";
        TensorReport report = new TensorReport(matrix.name(), format, converted.groupSize(), converted.measures());
        writer.addLinear(matrix.name(), matrix);
        writer.addReport(report);
        reports.add(report);
        progress.layerDone(report, reports.size(), total);
    }

    /** Told about each layer, in order. */
    public interface Progress {
        void layerDone(TensorReport report, int done, int total);
    }

    private record Converted(WeightMatrix matrix, int groupSize, Map<String, Double> measures) {}
}
