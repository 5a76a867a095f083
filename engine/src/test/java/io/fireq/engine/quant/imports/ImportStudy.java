package io.fireq.engine.quant.imports;

import io.fireq.engine.FireqEngines;
import io.fireq.engine.api.EngineOptions;
import io.fireq.engine.api.Numerics;
import io.fireq.engine.eval.Perplexity;
import io.fireq.engine.quant.QuantizerOptions.TableFormat;
import io.fireq.engine.quant.imports.ForeignModel.Format;
import io.fireq.engine.quant.imports.ImportOptions.Fallback;
import io.fireq.engine.runtime.LoadedModel;
import io.fireq.engine.tensor.HostTensor;
import io.fireq.engine.tensor.WeightMatrix;
import io.fireq.engine.weights.Checkpoint;
import io.fireq.engine.weights.v1.TensorReport;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;

/**
 * What import costs, in perplexity: rounds a model to nearest as another tool would, stores it in that tool's format,
 * imports it, and runs each step. Arguments: an unquantized checkpoint, a text, an empty directory, windows of 1024.
 */
final class ImportStudy {
    private final Path model;
    private final String text;
    private final Path work;
    private final int windows;

    private ImportStudy(Path model, String text, Path work, int windows) {
        this.model = model;
        this.text = text;
        this.work = work;
        this.windows = windows;
    }

    public static void main(String[] arguments) throws IOException {
        ImportStudy study = new ImportStudy(Path.of(arguments[0]), Files.readString(Path.of(arguments[1])),
                Path.of(arguments[2]), Integer.parseInt(arguments[3]));
        System.out.println("| source | stored as | worst layer, dB | source, float32 | imported weights, float32 "
                + "| imported |");
        System.out.println("|---|---|---|---|---|---|");
        study.row("GPTQ, scale per row", Format.GPTQ, -1, false, Fallback.NONE);
        study.row("GPTQ g128, symmetric", Format.GPTQ, 128, false, Fallback.NONE);
        study.row("AWQ g128, zero points", Format.AWQ, 128, true, Fallback.FP8);
        study.row("AWQ g128, zero points", Format.AWQ, 128, true, Fallback.INT4);
    }

    private void row(String title, Format format, int groupSize, boolean asymmetric, Fallback fallback)
            throws IOException {
        String name = "%s-%d-%s".formatted(format, groupSize, fallback).toLowerCase(Locale.ROOT);
        Path source = work.resolve(name);
        Path values = work.resolve(name + "-values");
        Path imported = work.resolve(name + "-imported");
        Path importedValues = work.resolve(name + "-imported-values");
        RawTensors stored = new RawTensors();
        RawTensors meant = new RawTensors();
        RawTensors got = new RawTensors();
        List<TensorReport> reports;
        try (Checkpoint original = Checkpoint.open(model)) {
            for (HostTensor tensor : tensors(original)) {
                if (isLinear(tensor)) {
                    int n = tensor.shape().get(0);
                    int k = tensor.shape().get(1);
                    RoundedLayer layer = asymmetric
                            ? RoundedLayer.asymmetric(tensor.toFloats(), n, k, groupSize)
                            : RoundedLayer.symmetric(tensor.toFloats(), n, k, groupSize == -1 ? k : groupSize);
                    format.add(stored, layerName(tensor), layer);
                    meant.f32(tensor.name(), layer.values(), n, k);
                } else {
                    stored.f16(tensor.name(), tensor.toFloats(), shape(tensor));
                    meant.f32(tensor.name(), tensor.toFloats(), shape(tensor));
                }
            }
            write(source, stored, format.config(groupSize));
            write(values, meant, null);
            reports = new CheckpointImporter(new ImportOptions(fallback, 28, TableFormat.E4M3), (r, done, total) -> {})
                    .importInto(source, imported);
            try (Checkpoint read = Checkpoint.open(imported)) {
                for (HostTensor tensor : tensors(original)) {
                    got.f32(tensor.name(), isLinear(tensor) ? values(read, tensor) : tensor.toFloats(), shape(tensor));
                }
            }
        }
        write(importedValues, got, null);
        String worst = reports.stream().filter(r -> r.name().startsWith("model.layers.") && r.sqnrDb().isPresent())
                .min(Comparator.comparingDouble(r -> r.sqnrDb().getAsDouble()))
                .map(r -> String.format(Locale.ROOT, "%.1f", r.sqnrDb().getAsDouble())).orElse("exact");
        System.out.printf(Locale.ROOT, "| %s | %s | %s | %.2f | %.2f | %.2f |%n", title, reports.get(0).format(), worst,
                perplexity(values, Numerics.FLOAT32), perplexity(importedValues, Numerics.FLOAT32),
                perplexity(imported, Numerics.QUANTIZED));
    }

    private static List<HostTensor> tensors(Checkpoint checkpoint) {
        return checkpoint.names().stream().map(checkpoint::tensor).toList();
    }

    private static boolean isLinear(HostTensor tensor) {
        return tensor.name().endsWith("_proj.weight");
    }

    private static int[] shape(HostTensor tensor) {
        return tensor.shape().stream().mapToInt(dim -> dim).toArray();
    }

    private static float[] values(Checkpoint imported, HostTensor like) {
        WeightMatrix matrix = imported.linear(layerName(like), like.shape().get(0), like.shape().get(1));
        float[] values = new float[like.size()];
        for (int i = 0; i < values.length; i++) {
            values[i] = matrix.get(i / matrix.k(), i % matrix.k());
        }
        return values;
    }

    private static String layerName(HostTensor weight) {
        return weight.name().substring(0, weight.name().length() - ".weight".length());
    }

    private void write(Path directory, RawTensors tensors, String quantization) throws IOException {
        Files.createDirectories(directory);
        tensors.write(directory.resolve("model.safetensors"));
        String json = Files.readString(model.resolve("config.json"));
        Files.writeString(directory.resolve("config.json"), quantization == null ? json
                : json.replaceFirst("\\{", "{\"quantization_config\":" + quantization + ","));
        for (String file : List.of("tokenizer.json", "tokenizer_config.json", "generation_config.json")) {
            if (Files.exists(model.resolve(file))) {
                Files.write(directory.resolve(file), Files.readAllBytes(model.resolve(file)));
            }
        }
    }

    private double perplexity(Path checkpoint, Numerics numerics) {
        EngineOptions options = EngineOptions.builder(checkpoint.toString()).numerics(numerics)
                .device(EngineOptions.Device.CPU).maxModelLen(1024).maxBatchTokens(256).build();
        try (LoadedModel loaded = FireqEngines.load(options)) {
            return new Perplexity(loaded, 1024).evaluate(loaded.encodePrompt(text), windows, (soFar, total) -> {})
                    .perplexity();
        }
    }
}
