package io.fireq.engine.quant;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.fireq.engine.FireqEngines;
import io.fireq.engine.api.EngineOptions;
import io.fireq.engine.api.EngineOptions.CpuKernelChoice;
import io.fireq.engine.api.FireqException;
import io.fireq.engine.api.Numerics;
import io.fireq.engine.api.UnsupportedModelException;
import io.fireq.engine.eval.Perplexity;
import io.fireq.engine.model.ModelConfig;
import io.fireq.engine.quant.QuantizerOptions.TableFormat;
import io.fireq.engine.quant.calibration.SmoothingMagnitudes;
import io.fireq.engine.quant.calibration.Place;
import io.fireq.engine.runtime.LoadedModel;
import io.fireq.engine.tensor.HostTensor;
import io.fireq.engine.weights.Checkpoint;
import io.fireq.engine.weights.SafetensorsWriter;
import io.fireq.engine.weights.v1.TensorReport;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.TreeMap;
import java.util.function.BiConsumer;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Whole quantizations of a model of 260 K parameters; its MLP has 172 channels, which no group size divides. */
class OfflineQuantizerTest {
    private static final Path STORIES = SmallModel.STORIES;
    private static final int LAYERS = 5;
    private static final QuantizerProgress SILENT = (report, done, total) -> {};
    private static final String TEXT = """
            Once upon a time there was a little boat. It was red and it wanted to see the sea. One day a big wind came
            and took the boat far away. The boat was not afraid. It saw a bird and a fish, and they all sang together.
            In the evening the wind was tired and brought the boat back home. The boat told the ducks what it had seen.
            """;

    @TempDir
    Path directory;

    @Test
    void the_same_bytes_whatever_the_threads_and_others_with_another_seed() throws IOException {
        Map<String, byte[]> one = quantize("one", options().threads(1));
        Map<String, byte[]> three = quantize("three", options().threads(3));
        requireSame(three, one);
        Map<String, byte[]> otherSeed = quantize("other", options().calibration(calibration(4, 24, 2)));
        assertThat(otherSeed.get("model.safetensors")).isNotEqualTo(one.get("model.safetensors"));
        assertThat(one).containsOnlyKeys("config.json", "model.safetensors", "channel_magnitudes.safetensors",
                "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "generation_config.json", "LICENSE");
    }

    @Test
    void an_interruption_at_any_layer_loses_nothing_and_changes_nothing() throws IOException {
        Map<String, byte[]> uninterrupted = quantize("uninterrupted", options());
        Path target = directory.resolve("interrupted");
        for (int layer = 0; layer < LAYERS; layer++) {
            int stopIn = layer;
            List<Integer> worked = new ArrayList<>();
            assertThatThrownBy(() -> new OfflineQuantizer(options().build(), new QuantizerProgress() {
                @Override
                public void tensorDone(TensorReport report, int done, int total) {}

                @Override
                public void working(Work work) {
                    worked.add(work.block());
                    if (work.block() == stopIn && work.activity().equals("MLP")) {
                        throw new Stopped();
                    }
                }
            }).quantize(STORIES, target)).isInstanceOf(Stopped.class);
            assertThat(target).doesNotExist();
            assertThat(worked).as("only the layer that was interrupted is begun again")
                    .containsOnly(Math.max(0, layer - 1) == layer ? new Integer[] {layer}
                            : new Integer[] {layer - 1, layer});
        }
        List<TensorReport> told = new ArrayList<>();
        List<TensorReport> reports = new OfflineQuantizer(options().build(), (report, done, total) -> {
            told.add(report);
            assertThat(done).isEqualTo(told.size());
            assertThat(total).isEqualTo(1 + 7 * LAYERS);
        }).quantize(STORIES, target);
        assertThat(told).as("also what was done earlier").isEqualTo(reports);
        requireSame(contents(target), uninterrupted);
        assertThat(directory.resolve(".interrupted.unfinished")).doesNotExist();
    }

    @Test
    void an_interruption_behind_any_tensor_changes_nothing() throws IOException {
        Map<String, byte[]> uninterrupted = quantize("uninterrupted", options());
        Path target = directory.resolve("interrupted");
        for (int stopBehind : new int[] {1, 8, 9, 22, 36}) {
            assertThatThrownBy(() -> new OfflineQuantizer(options().build(), (report, done, total) -> {
                if (done == stopBehind) {
                    throw new Stopped();
                }
            }).quantize(STORIES, target)).isInstanceOf(Stopped.class);
        }
        new OfflineQuantizer(options().build(), SILENT).quantize(STORIES, target);
        requireSame(contents(target), uninterrupted);
    }

    @Test
    void another_quantization_of_the_same_target_does_not_take_up_what_it_finds() throws IOException {
        Path target = directory.resolve("target");
        interruptBehind(22, options().build(), target);
        QuantizerOptions other = options().damping(0.3).build();
        new OfflineQuantizer(other, SILENT).quantize(STORIES, target);
        requireSame(contents(target), quantize("other", options().damping(0.3)));
    }

    @Test
    void a_target_is_quantized_by_one_at_a_time() {
        Path target = directory.resolve("target");
        OfflineQuantizer second = new OfflineQuantizer(options().build(), SILENT);
        new OfflineQuantizer(options().build(), (report, done, total) -> {
            if (done == 8) {
                assertThatThrownBy(() -> second.quantize(STORIES, target)).isInstanceOf(FireqException.class)
                        .hasMessageContaining("another process is at it");
            }
        }).quantize(STORIES, target);
        assertThatThrownBy(() -> second.quantize(STORIES, target)).hasMessageContaining("exists already");
        assertThatThrownBy(() -> second.quantize(target, directory.resolve("twice")))
                .isInstanceOf(UnsupportedModelException.class).hasMessageContaining("start from the original");
    }

    /** Each part is a switch: the checkpoint is another, and the model is still one. */
    @Test
    void every_part_can_be_switched() throws IOException {
        byte[] all = quantize("all", options()).get("model.safetensors");
        for (Part part : Part.values()) {
            QuantizerOptions.Builder options = Part.DEFAULT.contains(part)
                    ? options().without(part)
                    : options().with(part);
            Map<String, byte[]> files = quantize(part.name(), options);
            if (part == Part.KEY_HADAMARD) {
                assertThat(new String(files.get("config.json"))).doesNotContain("hadamard_block");
            } else {
                assertThat(files.get("model.safetensors")).as(part.name()).isNotEqualTo(all);
            }
            assertThat(divergence(directory.resolve(part.name()))).as(part.name()).isBetween(0.0, 1.0);
        }
    }

    @Test
    void without_any_part_nothing_needs_to_be_read() throws IOException {
        QuantizerOptions.Builder options = options();
        for (Part part : Part.values()) {
            options.without(part);
        }
        Path target = directory.resolve("plain");
        List<TensorReport> reports = new OfflineQuantizer(options.calibration(
                new CalibrationOptions(Optional.of(directory.resolve("no such text")), 0, 0, 1)).build(), SILENT)
                        .quantize(STORIES, target);
        assertThat(reports).hasSize(1 + 7 * LAYERS).allMatch(report -> report.sqnrDb().getAsDouble() > 15);
        assertThat(target.resolve(SmoothingMagnitudes.FILE)).doesNotExist();
        assertThat(divergence(target)).isBetween(0.0, 1.0);
    }

    @Test
    void the_error_table_and_the_magnitudes_are_in_the_checkpoint() throws IOException {
        Path target = directory.resolve("target");
        List<TensorReport> reports = new OfflineQuantizer(options().build(), SILENT).quantize(STORIES, target);
        try (Checkpoint checkpoint = Checkpoint.open(target)) {
            assertThat(checkpoint.quantization().orElseThrow().tensors()).isEqualTo(reports);
            assertThat(checkpoint.quantization().orElseThrow().calibration()).containsEntry("windows", 4)
                    .containsEntry("tokens", 4 * 24).containsKeys("seed", "text", "parts", "damping");
        }
        TensorReport key = report(reports, "model.layers.2.self_attn.k_proj");
        assertThat(key.measures()).containsKeys(Measures.OUTPUT_SQNR_DB, Measures.PLAIN_BEFORE_DB,
                Measures.PLAIN_AFTER_DB, Measures.CLIP_SHARE, Measures.NORMAL_LEVELS, Measures.CHANNEL_SCALE_EXPONENT,
                Measures.KEY_SCALE_EXPONENT);
        TensorReport down = report(reports, "model.layers.4.mlp.down_proj");
        assertThat(down.groupSize()).as("172 = 4 · 43 has no other").isEqualTo(172);
        assertThat(down.measures().get(Measures.RESIDUAL_ERROR)).isBetween(0.0, 0.2);
        SmoothingMagnitudes magnitudes = SmoothingMagnitudes.ofCheckpoint(target).orElseThrow();
        for (int layer = 0; layer < LAYERS; layer++) {
            assertThat(magnitudes.before(layer, Place.MLP_GATED).orElseThrow()).hasSize(172);
            assertThat(magnitudes.after(layer, Place.KEY).orElseThrow()).hasSize(32).doesNotContain(0);
        }
    }

    @Test
    void every_format_of_embedding_and_head_in_either_profile() throws IOException {
        for (Profile profile : Profile.values()) {
            for (TableFormat embedding : new TableFormat[] {TableFormat.BF16, TableFormat.E4M3}) {
                for (TableFormat head : new TableFormat[] {TableFormat.E4M3, TableFormat.INT4}) {
                    String name = "%s-%s-%s".formatted(profile, embedding, head);
                    List<TensorReport> reports = new OfflineQuantizer(options().profile(profile).embedding(embedding)
                            .head(head).build(), SILENT).quantize(STORIES, directory.resolve(name));
                    assertThat(reports).as(name).hasSize((embedding == head ? 1 : 2) + 7 * LAYERS);
                    assertThat(divergence(directory.resolve(name))).as(name).isBetween(0.0, 1.0);
                }
            }
        }
    }

    @Test
    void the_papers_other_variant_stores_e4m3_weights() throws IOException {
        PaperConstants paper = PaperConstants.DEFAULT;
        Path target = directory.resolve("bf16-scales");
        List<TensorReport> reports = new OfflineQuantizer(options().profile(Profile.PAPER).paper(new PaperConstants(
                paper.attentionInput(), paper.upGate(), paper.down(), paper.output(), paper.value(), paper.alpha(),
                paper.beta(), paper.topK(), true)).build(), SILENT).quantize(STORIES, target);
        assertThat(report(reports, "model.layers.0.mlp.up_proj").format()).isEqualTo("e4m3");
        assertThat(divergence(target)).isBetween(0.0, 1.0);
    }

    @Test
    void a_text_of_one_token_is_a_calibration() throws IOException {
        for (Profile profile : Profile.values()) {
            Path target = directory.resolve("one-token-" + profile);
            new OfflineQuantizer(options().profile(profile).calibration(new CalibrationOptions(Optional.of(text("a")),
                    1, 1, 1)).build(), SILENT).quantize(STORIES, target);
            assertThat(divergence(target)).isBetween(0.0, 1.5);
        }
    }

    @Test
    void a_text_shorter_than_a_window_is_one_window() throws IOException {
        Path target = directory.resolve("short");
        new OfflineQuantizer(options().calibration(new CalibrationOptions(Optional.of(text("A short text.")), 3, 100, 1))
                .build(), SILENT).quantize(STORIES, target);
        try (Checkpoint checkpoint = Checkpoint.open(target)) {
            assertThat(checkpoint.quantization().orElseThrow().calibration()).containsEntry("windows", 1);
        }
        assertThat(divergence(target)).isBetween(0.0, 1.5);
    }

    @Test
    void dead_channels_and_groups_stay_dead() throws IOException {
        Path source = changed("dead", (name, values) -> {
            if (name.endsWith("layernorm.weight")) {
                values[3] = 0; // a channel that nothing flows through
            }
            if (name.endsWith("up_proj.weight")) {
                Arrays.fill(values, 5 * 64, 6 * 64, 0); // and one that nobody makes
            }
            if (name.endsWith("k_proj.weight")) {
                Arrays.fill(values, 8 * 64, 16 * 64, 0); // a head without keys
            }
            if (name.contains("layers.1.") && name.endsWith("o_proj.weight")) {
                Arrays.fill(values, 0); // a layer that does nothing
            }
        });
        for (Profile profile : Profile.values()) {
            Path target = directory.resolve("dead-" + profile);
            List<TensorReport> reports = new OfflineQuantizer(options().profile(profile).build(), SILENT)
                    .quantize(source, target);
            assertThat(report(reports, "model.layers.1.self_attn.o_proj").sqnrDb()).as("exact").isEmpty();
            assertThat(divergence(target, source)).isBetween(0.0, 1.0);
        }
    }

    @Test
    void odd_sizes_are_quantized_as_they_are() throws IOException {
        Path source = odd();
        for (Profile profile : Profile.values()) {
            Path target = directory.resolve("odd-quantized-" + profile);
            List<TensorReport> reports = new OfflineQuantizer(options().profile(profile).build(), SILENT)
                    .quantize(source, target);
            assertThat(report(reports, "model.layers.1.mlp.down_proj").groupSize()).isEqualTo(33);
            assertThat(report(reports, "model.layers.1.mlp.up_proj").groupSize()).isEqualTo(20);
            assertThat(divergence(target, source)).isBetween(0.0, 1.0);
        }
    }

    /** Two layers of 20 channels, 3 heads of 10, one for K and V, and an MLP of 33. */
    private Path odd() throws IOException {
        Path target = Files.createDirectory(directory.resolve("odd"));
        String config = Files.readString(STORIES.resolve("config.json"));
        for (String[] size : new String[][] {{"hidden_size", "20"}, {"intermediate_size", "33"},
            {"num_hidden_layers", "2"}, {"num_attention_heads", "3"}, {"num_key_value_heads", "1"}, {"head_dim", "10"}}) {
            config = config.replaceFirst("\"" + size[0] + "\": \\d+", "\"" + size[0] + "\": " + size[1]);
        }
        Files.writeString(target.resolve("config.json"), config);
        ModelConfig shape = ModelConfig.read(target);
        Random random = new Random(5);
        List<HostTensor> tensors = new ArrayList<>();
        tensors.add(gaussian(LayerNames.EMBEDDING, random, shape.vocabSize(), 20));
        tensors.add(gaussian(LayerNames.FINAL_NORM, random, 20));
        for (int layer = 0; layer < 2; layer++) {
            tensors.add(gaussian(LayerNames.block(layer) + LayerNames.INPUT_NORM, random, 20));
            tensors.add(gaussian(LayerNames.block(layer) + LayerNames.POST_NORM, random, 20));
            LayerNames.linears(shape, layer)
                    .forEach(linear -> tensors.add(gaussian(linear.name(), random, linear.n(), linear.k())));
        }
        SafetensorsWriter.write(target.resolve("model.safetensors"), new HashMap<>(), tensors);
        for (String file : List.of("tokenizer.json", "tokenizer_config.json")) {
            Files.copy(STORIES.resolve(file), target.resolve(file));
        }
        return target;
    }

    private static HostTensor gaussian(String layerName, Random random, int... shape) {
        float[] values = new float[Arrays.stream(shape).reduce(1, (a, b) -> a * b)];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) random.nextGaussian() * (shape.length == 1 ? 1 : 0.2f);
        }
        return HostTensor.ofFloats(layerName + ".weight", Arrays.stream(shape).boxed().toList(), values);
    }

    @Test
    void a_weight_that_is_no_number_is_named() throws IOException {
        for (float damaged : new float[] {Float.NaN, Float.POSITIVE_INFINITY}) {
            Path source = changed("damaged-" + damaged, (name, values) -> {
                if (name.equals("model.layers.3.mlp.gate_proj.weight")) {
                    values[7 * 64 + 11] = damaged;
                }
            });
            assertThatThrownBy(() -> new OfflineQuantizer(options().build(), SILENT)
                    .quantize(source, directory.resolve("never"))).isInstanceOf(FireqException.class)
                            .hasMessageContaining("model.layers.3.mlp.gate_proj")
                            .hasMessageContaining("row 7, column 11 is " + damaged);
            assertThat(directory.resolve("never")).doesNotExist();
        }
    }

    @Test
    void options_that_do_not_fit_the_model_are_refused_at_once() {
        assertThatThrownBy(() -> quantize("kv", options().kvGroupSize(3))).hasMessageContaining("group size is 3")
                .hasMessageContaining("heads have 8 channels");
        assertThatThrownBy(() -> quantize("long", options().calibration(calibration(1, 513, 1))))
                .hasMessageContaining("513 tokens").hasMessageContaining("512");
        assertThat(directory).isEmptyDirectory();
    }

    private static final class Stopped extends RuntimeException {}

    private static void interruptBehind(int tensors, QuantizerOptions options, Path target) {
        assertThatThrownBy(() -> new OfflineQuantizer(options, (report, done, total) -> {
            if (done == tensors) {
                throw new Stopped();
            }
        }).quantize(STORIES, target)).isInstanceOf(Stopped.class);
    }

    private QuantizerOptions.Builder options() {
        return QuantizerOptions.builder().kernels(CpuKernelChoice.PLAIN).threads(2).calibration(calibration(4, 24, 1));
    }

    private CalibrationOptions calibration(int windows, int windowLen, long seed) {
        return new CalibrationOptions(Optional.of(text(TEXT)), windows, windowLen, seed);
    }

    private Path text(String content) {
        try {
            Path folder = Files.createDirectories(directory.resolveSibling(directory.getFileName() + "-texts"));
            return Files.writeString(folder.resolve(Integer.toHexString(content.hashCode()) + ".txt"), content);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private Map<String, byte[]> quantize(String name, QuantizerOptions.Builder options) throws IOException {
        new OfflineQuantizer(options.build(), SILENT).quantize(STORIES, directory.resolve(name));
        return contents(directory.resolve(name));
    }

    private static Map<String, byte[]> contents(Path checkpoint) throws IOException {
        Map<String, byte[]> contents = new TreeMap<>();
        try (Stream<Path> files = Files.list(checkpoint)) {
            for (Path file : files.toList()) {
                contents.put(file.getFileName().toString(), Files.readAllBytes(file));
            }
        }
        return contents;
    }

    private static void requireSame(Map<String, byte[]> actual, Map<String, byte[]> expected) {
        assertThat(actual.keySet()).isEqualTo(expected.keySet());
        expected.forEach((name, bytes) -> assertThat(actual.get(name)).as(name).isEqualTo(bytes));
    }

    private static TensorReport report(List<TensorReport> reports, String name) {
        return reports.stream().filter(report -> report.name().equals(name)).findFirst().orElseThrow();
    }

    /** The test model with other weights. */
    private Path changed(String name, BiConsumer<String, float[]> change) throws IOException {
        Path target = Files.createDirectory(directory.resolve(name));
        List<HostTensor> tensors = new ArrayList<>();
        try (Checkpoint source = Checkpoint.open(STORIES)) {
            for (String tensor : source.names()) {
                float[] values = source.tensor(tensor).toFloats();
                change.accept(tensor, values);
                tensors.add(HostTensor.ofFloats(tensor, source.info(tensor).shape(), values));
            }
        }
        SafetensorsWriter.write(target.resolve("model.safetensors"), new HashMap<>(), tensors);
        for (String file : List.of("config.json", "tokenizer.json", "tokenizer_config.json")) {
            Files.copy(STORIES.resolve(file), target.resolve(file));
        }
        return target;
    }

    private static double divergence(Path quantized) throws IOException {
        return divergence(quantized, STORIES);
    }

    /** From the original, in nats per token; not finite if anything in the model is not. */
    private static double divergence(Path quantized, Path original) throws IOException {
        try (LoadedModel loaded = load(quantized, Numerics.QUANTIZED);
                LoadedModel reference = load(original, Numerics.FLOAT32)) {
            int[] tokens = IntStream.concat(IntStream.of(1), Arrays.stream(loaded.encodePrompt(
                    "Tom and Lily went to the park with their big dog to play all day long."))).limit(24).toArray();
            return new Perplexity(loaded, reference, tokens.length).evaluate(tokens, 1, (soFar, total) -> {})
                    .divergence();
        }
    }

    private static LoadedModel load(Path model, Numerics numerics) {
        return FireqEngines.load(EngineOptions.builder(model.toString()).numerics(numerics).threads(1)
                .device(EngineOptions.Device.CPU).maxModelLen(64).kvCacheTokens(64).maxBatchTokens(64).build());
    }
}
