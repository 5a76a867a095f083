package io.fireq.engine.quant.imports;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.fireq.engine.FireqEngines;
import io.fireq.engine.api.EngineOptions;
import io.fireq.engine.api.EngineOptions.CpuKernelChoice;
import io.fireq.engine.api.FireqException;
import io.fireq.engine.api.Numerics;
import io.fireq.engine.api.UnsupportedModelException;
import io.fireq.engine.backend.Backend;
import io.fireq.engine.batch.Batch;
import io.fireq.engine.quant.QuantizerOptions.TableFormat;
import io.fireq.engine.quant.imports.ForeignModel.Format;
import io.fireq.engine.quant.imports.ImportOptions.Fallback;
import io.fireq.engine.runtime.LoadedModel;
import io.fireq.engine.tensor.Int4Matrix;
import io.fireq.engine.tensor.WeightMatrix;
import io.fireq.engine.weights.Checkpoint;
import io.fireq.engine.weights.v1.QuantizationInfo;
import io.fireq.engine.weights.v1.TensorReport;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** A small Llama in each format: imported, loaded and run; and what is refused. */
class CheckpointImporterTest {
    /** Of the logits against float32 of the source's weights, root mean square: e4m3 activations and INT4 K and V. */
    private static final double ACTIVATIONS_COST = 0.15;

    @TempDir
    Path directory;

    private Path target;
    private final List<TensorReport> reports = new ArrayList<>();

    @ParameterizedTest
    @CsvSource({"GPTQ,-1", "W4A16,-1", "W4A8,-1", "AWQ,-1"})
    void scales_per_row_import_exactly_and_run(Format format, int groupSize) {
        ForeignModel model = ForeignModel.symmetric(groupSize, false);
        importInto(model.write(directory.resolve("source"), format, groupSize), ImportOptions.DEFAULT);
        assertThat(linear()).hasSize(14).allSatisfy(report -> {
            assertThat(report.format()).isEqualTo("int4");
            assertThat(report.sqnrDb()).as(report.name()).isEmpty();
            assertThat(report.measures()).containsEntry(CheckpointImporter.CODES_KEPT, 1.0);
        });
        assertThat(weightError(model)).isZero();
        assertThat(logitError(model)).isLessThan(ACTIVATIONS_COST);
    }

    @ParameterizedTest
    @EnumSource(Format.class)
    void scales_per_group_are_rounded_and_run(Format format) {
        ForeignModel model = ForeignModel.symmetric(32, format == Format.AWQ);
        importInto(model.write(directory.resolve("source"), format, 32), ImportOptions.DEFAULT);
        assertThat(linear()).allSatisfy(report -> {
            assertThat(report.format()).isEqualTo("int4");
            assertThat(report.groupSize()).isEqualTo(32);
            assertThat(report.sqnrDb().getAsDouble()).as(report.name()).isGreaterThan(30);
        });
        assertThat(weightError(model)).isBetween(0.01, 0.032); // 30 dB
        assertThat(logitError(model)).isLessThan(ACTIVATIONS_COST);
        try (Checkpoint checkpoint = Checkpoint.open(target)) {
            assertThat(checkpoint.verifyChecksums()).isEqualTo(4);
            QuantizationInfo info = checkpoint.quantization().orElseThrow();
            assertThat(info.profile()).isEqualTo("imported");
            assertThat(info.groupSize()).isEqualTo(32);
            assertThat(info.calibration().get("imported_from"))
                    .isEqualTo(format.config(32).split("\"")[3]);
            assertThat(info.tensors()).isEqualTo(reports);
            assertThat(checkpoint.has("lm_head.weight_e4m3")).isEqualTo(format != Format.AWQ);
        }
    }

    @ParameterizedTest
    @EnumSource(names = {"PLAIN", "VECTOR"})
    void zero_points_of_seven_keep_their_codes_with_a_negative_scale(CpuKernelChoice kernels) {
        ForeignModel model = ForeignModel.symmetric(-1, false);
        model.layers.keySet().forEach(name -> model.change(name, RoundedLayer::mirrored));
        importInto(model.write(directory.resolve("source"), Format.AWQ, -1), ImportOptions.DEFAULT);
        assertThat(weightError(model)).isZero();
        try (Checkpoint checkpoint = Checkpoint.open(target)) {
            Int4Matrix matrix = (Int4Matrix) checkpoint.linear(ForeignModel.FIRST, ForeignModel.HEADS
                    * ForeignModel.HEAD_DIM, ForeignModel.HIDDEN);
            assertThat(matrix.scale(3, 0)).isNegative();
        }
        assertThat(logitError(model, kernels)).isLessThan(ACTIVATIONS_COST);
    }

    @Test
    void the_same_source_gives_the_same_bytes() throws IOException {
        Path source = ForeignModel.symmetric(32, false).write(directory.resolve("source"), Format.GPTQ, 32);
        importInto(source, ImportOptions.DEFAULT);
        Path first = target;
        target = null;
        importInto(source, ImportOptions.DEFAULT);
        for (String name : first.toFile().list()) {
            assertThat(Files.mismatch(first.resolve(name), target.resolve(name))).as(name).isEqualTo(-1);
        }
    }

    @ParameterizedTest
    @EnumSource(value = Format.class, names = {"GPTQ_V2", "AWQ", "W4A16", "W4A8"})
    void zero_points_are_refused_or_stored_as_e4m3_or_rounded_again(Format format) {
        ForeignModel model = ForeignModel.asymmetric(32, false);
        Path source = model.write(directory.resolve("source"), format, 32);
        assertRefused(source, ForeignModel.FIRST, "zero points put the weights of ", "FireQ's codes are -8 to 7",
                "--fallback fp8", "--fallback int4", "fireq quantize");

        importInto(source, new ImportOptions(Fallback.FP8, 28, TableFormat.E4M3));
        assertThat(linear()).allSatisfy(report -> {
            assertThat(report.format()).isEqualTo("e4m3");
            assertThat(report.sqnrDb().getAsDouble()).isGreaterThan(30);
            assertThat(report.measures()).containsEntry(CheckpointImporter.CODES_KEPT, 0.0);
        });
        double fp8 = logitError(model);
        assertThat(fp8).isLessThan(ACTIVATIONS_COST);

        target = null;
        importInto(source, new ImportOptions(Fallback.INT4, 28, TableFormat.E4M3));
        assertThat(linear()).allSatisfy(report -> {
            assertThat(report.format()).isEqualTo("int4");
            assertThat(report.sqnrDb().getAsDouble()).isBetween(17.0, 26.0);
            assertThat(report.measures()).containsEntry(CheckpointImporter.CODES_KEPT, 0.0);
        });
        assertThat(logitError(model)).isBetween(fp8, 0.5);
    }

    @Test
    void groups_in_activation_order_are_refused_or_stored_as_e4m3() {
        ForeignModel model = ForeignModel.symmetric(32, false).change("model.layers.1.mlp.down_proj",
                layer -> layer.withGroupOf(SourceLayoutTest.permuted(layer.groupOf())));
        Path source = model.write(directory.resolve("source"), Format.GPTQ, 32);
        assertRefused(source, "model.layers.1.mlp.down_proj", "activation order (g_idx)");
        importInto(source, new ImportOptions(Fallback.FP8, 28, TableFormat.E4M3));
        assertThat(reports).filteredOn(report -> report.name().endsWith("1.mlp.down_proj"))
                .allMatch(report -> report.format().equals("e4m3"));
        assertThat(linear()).filteredOn(report -> report.format().equals("int4")).as("the others").hasSize(13);
        assertThat(weightError(model)).isLessThan(0.032);
        assertThat(logitError(model)).isLessThan(ACTIVATIONS_COST);
        try (LoadedModel loaded = FireqEngines.load(EngineOptions.of(target.toString()))) {
            assertThat(loaded.info().quantization()).startsWith("INT4 and e4m3 weights, ");
        }
    }

    @Test
    void a_layer_below_the_wanted_signal_to_noise_ratio_is_refused() {
        Path source = ForeignModel.symmetric(32, false).write(directory.resolve("source"), Format.W4A16, 32);
        ImportOptions strict = new ImportOptions(Fallback.NONE, 60, TableFormat.E4M3);
        assertThatExceptionOfType(UnsupportedModelException.class).isThrownBy(() -> importInto(source, strict))
                .withMessageContaining(ForeignModel.FIRST).withMessageContaining("and 60.00 are required");
        importInto(ForeignModel.symmetric(-1, false).write(directory.resolve("exact"), Format.W4A16, -1), strict);
        assertThat(linear()).hasSize(14);
    }

    @Test
    void a_layer_that_the_source_left_unquantized_is_refused_or_stored_as_e4m3() {
        ForeignModel model = ForeignModel.symmetric(32, false);
        RoundedLayer layer = model.layers.get(ForeignModel.FIRST);
        Path source = model.write(directory.resolve("source"), Format.W4A16, 32, tensors -> {
            for (String suffix : List.of(".weight_packed", ".weight_shape", ".weight_scale")) {
                tensors.remove(ForeignModel.FIRST + suffix);
            }
            return tensors.bf16(ForeignModel.FIRST + ".weight", layer.values(), layer.n(), layer.k());
        });
        assertRefused(source, ForeignModel.FIRST, "left its weight unquantized, BF16");
        importInto(source, new ImportOptions(Fallback.FP8, 28, TableFormat.E4M3));
        assertThat(reports.get(0).format()).isEqualTo("e4m3");
        target = null;
        importInto(source, new ImportOptions(Fallback.INT4, 28, TableFormat.E4M3));
        assertThat(reports.get(0).format()).isEqualTo("int4");
        assertThat(reports.get(0).groupSize()).isEqualTo(32);
    }

    @Test
    void biases_of_zero_are_dropped_and_others_refused() {
        ForeignModel model = ForeignModel.symmetric(32, false);
        float[] bias = new float[ForeignModel.FFN];
        Path zero = model.write(directory.resolve("zero"), Format.GPTQ, 32,
                tensors -> tensors.f16("model.layers.1.mlp.up_proj.bias", bias, bias.length));
        importInto(zero, ImportOptions.DEFAULT);
        bias[17] = 0.5f;
        Path biased = model.write(directory.resolve("biased"), Format.GPTQ, 32,
                tensors -> tensors.f16("model.layers.1.mlp.up_proj.bias", bias, bias.length));
        assertRefused(biased, "model.layers.1.mlp.up_proj", "has a bias, 0.5 in one place");
    }

    @Test
    void what_cannot_be_carried_along_is_refused() {
        ForeignModel model = ForeignModel.symmetric(32, false);
        RoundedLayer head = RoundedLayer.symmetric(SourceLayoutTest.gaussian(ForeignModel.VOCAB * ForeignModel.HIDDEN),
                ForeignModel.VOCAB, ForeignModel.HIDDEN, 32);
        assertRefused(model.write(directory.resolve("head"), Format.GPTQ, 32, tensors -> {
            head.addGptq(tensors.remove("lm_head.weight"), "lm_head", 1, true);
            return tensors;
        }), "lm_head.", "so it is quantized or has a bias", "unquantized embeddings and heads");
        assertRefused(model.write(directory.resolve("unknown"), Format.AWQ, 32,
                tensors -> tensors.f16(ForeignModel.FIRST + ".pre_scale", new float[64], 64)),
                ForeignModel.FIRST + ".pre_scale", "has no meaning in AWQ gemm");
        assertThat(directory.toFile().list()).as("no target, no temporary directory")
                .containsExactlyInAnyOrder("head", "unknown");
    }

    @Test
    void values_that_are_not_finite_are_refused() {
        Path source = ForeignModel.symmetric(32, false).write(directory.resolve("source"), Format.GPTQ, 32, tensors -> {
            float[] head = new float[ForeignModel.VOCAB * ForeignModel.HIDDEN];
            head[1000] = Float.POSITIVE_INFINITY;
            return tensors.f16("lm_head.weight", head, ForeignModel.VOCAB, ForeignModel.HIDDEN);
        });
        assertThatExceptionOfType(FireqException.class)
                .isThrownBy(() -> importInto(source, ImportOptions.DEFAULT))
                .withMessageContaining("lm_head.weight").withMessageContaining("holds Infinity at 1000");
    }

    @Test
    void a_checkpoint_of_another_kind_says_what_to_use() {
        Path plain = ForeignModel.symmetric(32, false).writeValues(directory.resolve("plain"));
        assertThat(CheckpointImporter.isForeign(plain)).isFalse();
        assertThatThrownBy(() -> importInto(plain, ImportOptions.DEFAULT)).isInstanceOf(UnsupportedModelException.class)
                .hasMessageContaining("not quantized").hasMessageContaining("fireq quantize");
        Path source = ForeignModel.symmetric(32, false).write(directory.resolve("source"), Format.GPTQ, 32);
        assertThat(CheckpointImporter.isForeign(source)).isTrue();
        importInto(source, ImportOptions.DEFAULT);
        assertThat(CheckpointImporter.isForeign(target)).isFalse();
        Path imported = target;
        assertThatThrownBy(() -> importInto(imported, ImportOptions.DEFAULT))
                .hasMessageContaining("it is a FireQ checkpoint already");
    }

    @Test
    void an_engine_imports_on_first_use_and_keeps_it() throws IOException {
        Path source = ForeignModel.symmetric(32, false).write(directory.resolve("gptq-model"), Format.GPTQ, 32);
        Path cache = directory.resolve("cache");
        EngineOptions options = EngineOptions.builder(source.toString()).cacheDir(cache)
                .device(EngineOptions.Device.CPU).build();
        Object firstKey = null;
        for (int use = 1; use <= 2; use++) {
            try (LoadedModel loaded = FireqEngines.load(options)) {
                assertThat(loaded.info().name()).isEqualTo("gptq-model");
                assertThat(loaded.info().quantization()).startsWith("INT4 weights, ").contains("profile imported");
            }
            assertThat(cache.resolve("quantized").toFile().list()).hasSize(1)
                    .allMatch(name -> name.startsWith("gptq-model-"));
            Path kept = cache.resolve("quantized").resolve(cache.resolve("quantized").toFile().list()[0]);
            Object key = Files.readAttributes(kept, BasicFileAttributes.class).fileKey();
            assertThat(use == 1 || key.equals(firstKey)).as("made once").isTrue();
            firstKey = key;
        }
        Path asymmetric = ForeignModel.asymmetric(32, false).write(directory.resolve("awq"), Format.AWQ, 32);
        assertThatExceptionOfType(UnsupportedModelException.class).isThrownBy(() -> FireqEngines.load(
                EngineOptions.builder(asymmetric.toString()).cacheDir(cache).build()))
                .withMessageContaining("zero points").withMessageContaining("fireq import");
        assertThatExceptionOfType(UnsupportedModelException.class).isThrownBy(() -> FireqEngines.load(
                EngineOptions.builder(source.toString()).cacheDir(cache).numerics(Numerics.FLOAT32).build()))
                .withMessageContaining("quantized by 'gptq'");
        assertThat(cache.resolve("quantized").toFile().list()).hasSize(1);
    }

    @Test
    void the_embedding_may_stay_bf16() {
        Path source = ForeignModel.symmetric(32, true).write(directory.resolve("source"), Format.GPTQ, 32);
        importInto(source, new ImportOptions(Fallback.NONE, 28, TableFormat.BF16));
        try (Checkpoint checkpoint = Checkpoint.open(target)) {
            assertThat(checkpoint.has("model.embed_tokens.weight")).isTrue();
            assertThat(checkpoint.has("lm_head.weight_e4m3")).isTrue();
        }
    }

    @Test
    void options_that_make_no_sense_are_refused() {
        assertThatThrownBy(() -> new ImportOptions(Fallback.NONE, Double.NaN, TableFormat.E4M3))
                .hasMessageContaining("must be 0 or more");
        assertThatThrownBy(() -> new ImportOptions(Fallback.NONE, 28, TableFormat.INT4))
                .hasMessageContaining("choose bf16 or e4m3");
    }

    private void importInto(Path source, ImportOptions options) {
        target = directory.resolve("imported-" + directory.toFile().list().length);
        reports.clear();
        List<Integer> progress = new ArrayList<>();
        reports.addAll(new CheckpointImporter(options, (report, done, total) -> {
            progress.add(done);
            assertThat(done).isLessThanOrEqualTo(total);
        }).importInto(source, target));
        assertThat(progress).hasSize(reports.size()).last().isEqualTo(reports.size());
    }

    private void assertRefused(Path source, String... problems) {
        assertThatExceptionOfType(UnsupportedModelException.class)
                .isThrownBy(() -> importInto(source, ImportOptions.DEFAULT))
                .satisfies(e -> assertThat(e).hasMessageStartingWith("Importing ").hasMessageContainingAll(problems));
    }

    private List<TensorReport> linear() {
        return reports.stream().filter(report -> report.name().startsWith("model.layers.")).toList();
    }

    /** Root mean square of the weights' error, relative, over all linear layers. */
    private double weightError(ForeignModel model) {
        double error = 0;
        double signal = 0;
        try (Checkpoint checkpoint = Checkpoint.open(target)) {
            for (Map.Entry<String, RoundedLayer> entry : model.layers.entrySet()) {
                RoundedLayer layer = entry.getValue();
                WeightMatrix imported = checkpoint.linear(entry.getKey(), layer.n(), layer.k());
                float[] values = layer.values();
                for (int i = 0; i < values.length; i++) {
                    error += Math.pow(values[i] - imported.get(i / layer.k(), i % layer.k()), 2);
                    signal += Math.pow(values[i], 2);
                }
            }
        }
        return Math.sqrt(error / signal);
    }

    /** Root mean square of the logits' error, relative, against float32 on the values that the source stands for. */
    private double logitError(ForeignModel model) {
        return logitError(model, CpuKernelChoice.AUTO);
    }

    private double logitError(ForeignModel model, CpuKernelChoice kernels) {
        Path values = directory.resolve("values");
        double[] wanted = logits(Files.exists(values) ? values : model.writeValues(values), Numerics.FLOAT32,
                kernels);
        double[] actual = logits(target, Numerics.QUANTIZED, kernels);
        double error = 0;
        double signal = 0;
        for (int i = 0; i < wanted.length; i++) {
            error += Math.pow(actual[i] - wanted[i], 2);
            signal += Math.pow(wanted[i], 2);
        }
        double relative = Math.sqrt(error / signal);
        System.out.printf("logits of %s: relative error %.4f%n", target.getFileName(), relative);
        return relative;
    }

    private static double[] logits(Path model, Numerics numerics, CpuKernelChoice kernels) {
        int[] tokens = {1, 403, 407, 261, 378, 31, 7, 500, 12, 99, 410, 270};
        int[] positions = IntStream.range(0, tokens.length).toArray();
        EngineOptions options = EngineOptions.builder(model.toString()).numerics(numerics)
                .device(EngineOptions.Device.CPU).cpuKernels(kernels).build();
        try (LoadedModel loaded = FireqEngines.load(options)) {
            Backend.Logits rows = loaded.model().forward(new Batch(tokens, positions, positions,
                    new int[] {0, tokens.length}, new int[] {tokens.length}, new int[][] {{0}}, positions));
            double[] logits = new double[tokens.length * ForeignModel.VOCAB];
            float[] row = new float[ForeignModel.VOCAB];
            for (int i = 0; i < tokens.length; i++) {
                rows.copyRow(i, row);
                for (int j = 0; j < row.length; j++) {
                    logits[i * row.length + j] = row[j];
                }
            }
            return logits;
        }
    }
}
