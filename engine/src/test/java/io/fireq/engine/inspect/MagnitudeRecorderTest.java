package io.fireq.engine.inspect;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import io.fireq.engine.FireqEngines;
import io.fireq.engine.api.EngineOptions;
import io.fireq.engine.api.EngineOptions.CpuKernelChoice;
import io.fireq.engine.api.Numerics;
import io.fireq.engine.backend.cpu.CpuBackend;
import io.fireq.engine.backend.cpu.ObservedCpuBackend;
import io.fireq.engine.backend.cpu.ObservedCpuBackend.Site;
import io.fireq.engine.quant.CalibrationOptions;
import io.fireq.engine.quant.OfflineQuantizer;
import io.fireq.engine.quant.Part;
import io.fireq.engine.quant.QuantizerOptions;
import io.fireq.engine.runtime.LoadedModel;
import io.fireq.engine.tensor.HostTensor;
import io.fireq.engine.tensor.WeightMatrix;
import io.fireq.engine.weights.Checkpoint;
import io.fireq.engine.weights.QuantizedCheckpointWriter;
import io.fireq.engine.weights.SafetensorsWriter;
import io.fireq.engine.weights.v1.LinearFormat;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.w3c.dom.Element;

/** What is seen of stories260K, as it is and with outliers put in that leave its function as it was. */
class MagnitudeRecorderTest {
    private static final Path STORIES = Path.of("src/test/resources/models/stories260K");
    private static final int LAYER = 2;
    private static final int CHANNEL = 37;
    private static final int HIDDEN = 64;

    @TempDir
    Path directory;

    @Test
    void every_site_of_every_layer_is_seen() throws IOException {
        List<ChannelMagnitudes> seen = MagnitudeRecorder.compare(record(STORIES, Numerics.FLOAT32), null);
        assertThat(seen).hasSize(5 * Site.values().length).allSatisfy(one -> {
            assertThat(one.channels()).as("%s", one.site()).isEqualTo(switch (one.site()) {
                case QKV_INPUT, O_INPUT, GATE_UP_INPUT -> HIDDEN;
                case DOWN_INPUT -> 172;
                case K_CACHE -> 4 * 8;
            });
            assertThat(one.after()).isEmpty();
            for (float value : one.before()) {
                assertThat(value).isFinite().isPositive();
            }
        });
    }

    @Test
    void an_injected_outlier_is_seen_by_its_factor_and_is_the_peak_of_the_picture() throws Exception {
        MagnitudeRecorder clean = record(STORIES, Numerics.FLOAT32);
        MagnitudeRecorder injected = record(inject(), Numerics.FLOAT32);
        List<ChannelMagnitudes> compared = MagnitudeRecorder.compare(clean, injected);
        for (ChannelMagnitudes one : compared) {
            boolean target = one.layer() == LAYER && one.site() == Site.QKV_INPUT;
            for (int channel = 0; channel < one.channels(); channel++) {
                float factor = target && channel == CHANNEL ? 64 : 1; // a power of two: every float stays what it was
                assertThat(one.after()[channel]).as("%d %s %d", one.layer(), one.site(), channel)
                        .isEqualTo(factor * one.before()[channel]);
            }
        }
        ChannelMagnitudes target = compared.stream()
                .filter(one -> one.layer() == LAYER && one.site() == Site.QKV_INPUT).findFirst().orElseThrow();
        assertThat(ChannelMagnitudes.peak(target.after())).isEqualTo(CHANNEL);
        assertThat(ChannelMagnitudes.peakToMedian(target.after())).isGreaterThan(20);

        Element svg = OutlierPlotTest.parse(OutlierPlot.svg("t", "c", compared, 8));
        Element panel = OutlierPlotTest.elements(svg, "g").get(LAYER * Site.values().length);
        Element after = OutlierPlotTest.elements(panel, "polyline").get(1);
        int[] ys = OutlierPlotTest.ys(after);
        int highest = Arrays.stream(ys).min().orElseThrow();
        assertThat(OutlierPlotTest.xOf(after, highest)).isEqualTo((2 * CHANNEL + 1) * 180 / (2 * HIDDEN));
        Arrays.sort(ys);
        assertThat(ys[1] - ys[0]).as("far above the second largest").isGreaterThan(10);
    }

    @Test
    void smoothing_of_k_is_seen() throws IOException {
        Path quantized = directory.resolve("quantized");
        // Nothing but the vector below shall change K: no scales of the quantizer's own, and no transform that mixes.
        QuantizerOptions options = QuantizerOptions.builder().without(Part.KEY_SCALES).without(Part.KEY_HADAMARD)
                .calibration(new CalibrationOptions(Optional.empty(), 2, 64, 1)).build();
        new OfflineQuantizer(options, (report, done, total) -> {}).quantize(STORIES, quantized);
        float[] smooth = new float[4 * 8];
        Arrays.fill(smooth, 1);
        smooth[19] = 0.0625f;
        smooth[20] = 4;
        Path smoothed = withKSmooth(quantized, smooth);
        List<ChannelMagnitudes> compared = MagnitudeRecorder.compare(record(quantized, Numerics.QUANTIZED),
                record(smoothed, Numerics.QUANTIZED));
        ChannelMagnitudes k = compared.get(Site.K_CACHE.ordinal()); // layer 0, whose K depends on nothing that changed
        for (int channel = 0; channel < smooth.length; channel++) {
            assertThat(k.after()[channel]).as("channel %d", channel).isEqualTo(smooth[channel] * k.before()[channel]);
        }
    }

    @Test
    void observing_changes_nothing_and_windows_start_afresh() throws IOException {
        MagnitudeRecorder once = record(STORIES, Numerics.FLOAT32, 40, 64);
        MagnitudeRecorder chunked = record(STORIES, Numerics.FLOAT32, 40, 7);
        assertThat(peaks(chunked)).isEqualTo(peaks(once));
        // 100 tokens in a context of 40: three windows, the first as before
        MagnitudeRecorder windows = record(STORIES, Numerics.FLOAT32, 100, 64);
        List<ChannelMagnitudes> both = MagnitudeRecorder.compare(once, windows);
        assertThat(both).allSatisfy(one -> {
            for (int channel = 0; channel < one.channels(); channel++) {
                assertThat(one.after()[channel]).isGreaterThanOrEqualTo(one.before()[channel]);
            }
        });
    }

    @Test
    void models_of_different_shape_are_not_compared() {
        MagnitudeRecorder one = new MagnitudeRecorder();
        one.row(0, Site.O_INPUT, new float[4], 0, 4);
        MagnitudeRecorder two = new MagnitudeRecorder();
        two.row(0, Site.O_INPUT, new float[4], 0, 4);
        two.row(1, Site.O_INPUT, new float[4], 0, 4);
        assertThatIllegalArgumentException().isThrownBy(() -> MagnitudeRecorder.compare(one, two))
                .withMessageContaining("1 layers before and 2 after");
    }

    private static List<Float> peaks(MagnitudeRecorder recorder) {
        return MagnitudeRecorder.compare(recorder, null).stream()
                .map(one -> one.before()[ChannelMagnitudes.peak(one.before())]).toList();
    }

    private static MagnitudeRecorder record(Path model, Numerics numerics) throws IOException {
        return record(model, numerics, 40, 64);
    }

    private static MagnitudeRecorder record(Path model, Numerics numerics, int nTokens, int maxBatchTokens)
            throws IOException {
        EngineOptions options = EngineOptions.builder(model.toString()).numerics(numerics).maxModelLen(40)
                .kvCacheTokens(48).maxBatchTokens(maxBatchTokens).build();
        MagnitudeRecorder recorder = new MagnitudeRecorder();
        try (LoadedModel loaded = FireqEngines.load(options,
                new ObservedCpuBackend(CpuBackend.create(numerics, 1, CpuKernelChoice.PLAIN), recorder))) {
            int[] tokens = Arrays.copyOf(loaded.encodePrompt(SampleText.TEXT), nTokens);
            MagnitudeRecorder.run(loaded, tokens, () -> {});
        }
        return recorder;
    }

    /** One channel of a norm times 64, the columns that read it divided by 64. */
    private Path inject() throws IOException {
        Path target = Files.createDirectory(directory.resolve("injected"));
        String layer = "model.layers." + LAYER + ".";
        List<HostTensor> tensors = new ArrayList<>();
        try (Checkpoint source = Checkpoint.open(STORIES)) {
            for (String name : source.names()) {
                HostTensor tensor = source.tensor(name);
                float[] values = tensor.toFloats();
                if (name.equals(layer + "input_layernorm.weight")) {
                    values[CHANNEL] *= 64;
                } else if (name.startsWith(layer + "self_attn.") && !name.contains("o_proj")) {
                    for (int row = 0; row < tensor.shape().get(0); row++) {
                        values[row * HIDDEN + CHANNEL] /= 64;
                    }
                }
                tensors.add(HostTensor.ofFloats(name, tensor.shape(), values));
            }
        }
        SafetensorsWriter.write(target.resolve("model.safetensors"), Map.of(), tensors);
        copyRest(target, List.of("config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json"));
        return target;
    }

    /** The same checkpoint with a smoothing vector for layer 0. */
    private Path withKSmooth(Path quantized, float[] smooth) {
        Path target = directory.resolve("smoothed");
        try (Checkpoint source = Checkpoint.open(quantized);
                QuantizedCheckpointWriter writer = QuantizedCheckpointWriter.create(target,
                        STORIES.resolve("config.json"), source.quantization().orElseThrow())) {
            for (String name : source.names()) {
                if (name.endsWith("norm.weight")) {
                    writer.addTensor(source.tensor(name));
                } else if (name.endsWith(".weight_row_scale")) {
                    String layer = name.substring(0, name.length() - ".weight_row_scale".length());
                    writer.addLinear(layer, linear(source, layer));
                }
            }
            writer.addTensor(HostTensor.ofFloats(LinearFormat.kSmoothName(0), List.of(4, 8), smooth));
            for (String file : List.of("tokenizer.json", "tokenizer_config.json", "generation_config.json")) {
                writer.copyFile(STORIES.resolve(file));
            }
            writer.finish();
        }
        return target;
    }

    private static WeightMatrix linear(Checkpoint source, String layer) {
        String codes = source.has(layer + ".weight_packed") ? ".weight_packed" : ".weight_e4m3";
        List<Integer> shape = source.info(layer + codes).shape();
        return source.linear(layer, shape.get(0), codes.equals(".weight_packed") ? 2 * shape.get(1) : shape.get(1));
    }

    private static void copyRest(Path target, List<String> files) throws IOException {
        for (String file : files) {
            Files.write(target.resolve(file), Files.readAllBytes(STORIES.resolve(file)));
        }
    }
}
