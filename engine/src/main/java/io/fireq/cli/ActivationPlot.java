package io.fireq.cli;

import io.fireq.engine.FireqEngines;
import io.fireq.engine.api.EngineOptions;
import io.fireq.engine.api.EngineOptions.CpuKernelChoice;
import io.fireq.engine.api.Numerics;
import io.fireq.engine.backend.cpu.CpuBackend;
import io.fireq.engine.backend.cpu.ObservedCpuBackend;
import io.fireq.engine.backend.cpu.ObservedCpuBackend.Site;
import io.fireq.engine.inspect.ChannelMagnitudes;
import io.fireq.engine.inspect.MagnitudeRecorder;
import io.fireq.engine.inspect.OutlierPlot;
import io.fireq.engine.inspect.SampleText;
import io.fireq.engine.model.ModelConfig;
import io.fireq.engine.quant.calibration.Place;
import io.fireq.engine.quant.calibration.SmoothingMagnitudes;
import io.fireq.engine.runtime.LoadedModel;
import io.fireq.engine.weights.Checkpoint;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/**
 * {@code fireq inspect --plot}: draws what the quantizer noted in a checkpoint, or runs it, and its original if there is
 * one, on the CPU and draws what it saw.
 */
final class ActivationPlot {
    private static final int MAX_WINDOW = 512;
    private static final float[] NONE = {};

    private final Path model;
    private final Path original;
    private final Path text;
    private final int maxTokens;
    private int nTokens;

    /**
     * @param original the unquantized checkpoint, or null
     * @param text     a text file, or null for a built-in text
     */
    ActivationPlot(Path model, Path original, Path text, int maxTokens) {
        this.model = model;
        this.original = original;
        this.text = text;
        this.maxTokens = maxTokens;
    }

    /**
     * Draws what the checkpoint says of its quantization, without running anything.
     *
     * @return whether it says something
     */
    static boolean writeStored(Path model, Path file, PrintWriter out) throws IOException {
        requireSvg(file);
        Optional<SmoothingMagnitudes> stored = SmoothingMagnitudes.ofCheckpoint(model);
        if (stored.isEmpty()) {
            return false;
        }
        ModelConfig config = ModelConfig.read(model);
        List<ChannelMagnitudes> magnitudes = new ArrayList<>();
        for (int layer = 0; layer < config.nLayers(); layer++) {
            for (Site site : Site.values()) {
                magnitudes.add(new ChannelMagnitudes(layer, site, stored.get().before(layer, place(site)).orElse(NONE),
                        stored.get().after(layer, place(site)).orElse(NONE)));
            }
        }
        String caption = "Largest magnitude of each channel over the first calibration windows, float32";
        Files.writeString(file, OutlierPlot.svg("Smoothing of " + name(model), caption, magnitudes, config.headDim(),
                "before smoothing", "after smoothing"));
        describe(file, caption, magnitudes, out);
        return true;
    }

    private static Place place(Site site) {
        return switch (site) {
            case QKV_INPUT -> Place.ATTENTION_INPUT;
            case O_INPUT -> Place.ATTENTION_OUTPUT;
            case GATE_UP_INPUT -> Place.MLP_INPUT;
            case DOWN_INPUT -> Place.MLP_GATED;
            case K_CACHE -> Place.KEY;
        };
    }

    /** Runs the model, draws into {@code file} and prints which channels stand out most. */
    void write(Path file, PrintWriter out) throws IOException {
        requireSvg(file);
        boolean quantized = Checkpoint.isFireq(model);
        if (original != null && (!quantized || Checkpoint.isFireq(original))) {
            throw new IllegalArgumentException(("Plot %s: %s is %s; --original is the unquantized checkpoint of a "
                    + "quantized MODEL").formatted(file, quantized ? original : model,
                            quantized ? "quantized" : "not quantized"));
        }
        ModelConfig config = ModelConfig.read(model);
        Path unquantized = quantized ? original : model;
        MagnitudeRecorder before = unquantized == null ? null : record(unquantized, Numerics.FLOAT32);
        MagnitudeRecorder after = quantized ? record(model, Numerics.QUANTIZED) : null;
        List<ChannelMagnitudes> magnitudes = MagnitudeRecorder.compare(before, after);
        String caption = String.format(Locale.ROOT, "Largest magnitude of each channel over %,d tokens of %s, CPU",
                nTokens, text == null ? "the built-in text" : text.getFileName());
        Files.writeString(file, OutlierPlot.svg("Activations of " + name(model), caption, magnitudes,
                config.headDim()));
        describe(file, caption, magnitudes, out);
    }

    private static void requireSvg(Path file) {
        if (!file.getFileName().toString().toLowerCase(Locale.ROOT).endsWith(".svg")) {
            throw new IllegalArgumentException("Plot %s: pictures are SVG, which any browser shows; name the file *.svg"
                    .formatted(file));
        }
    }

    private static Path name(Path model) {
        return model.toAbsolutePath().normalize().getFileName();
    }

    private static void describe(Path file, String caption, List<ChannelMagnitudes> magnitudes, PrintWriter out)
            throws IOException {
        out.printf(Locale.ROOT, "%n%s: %s, %,d bytes%n", file, caption, Files.size(file));
        magnitudes.stream().sorted((a, b) -> Double.compare(outlier(b), outlier(a))).limit(3)
                .forEach(one -> out.println("  " + describe(one)));
    }

    private MagnitudeRecorder record(Path checkpoint, Numerics numerics) throws IOException {
        int window = Math.min(MAX_WINDOW, ModelConfig.read(checkpoint).maxPositions());
        EngineOptions options = EngineOptions.builder(checkpoint.toString()).device(EngineOptions.Device.CPU)
                .numerics(numerics).maxModelLen(window).kvCacheTokens(window).maxBatchTokens(64).build();
        MagnitudeRecorder recorder = new MagnitudeRecorder();
        try (LoadedModel loaded = FireqEngines.load(options,
                new ObservedCpuBackend(CpuBackend.create(numerics, 0, CpuKernelChoice.AUTO), recorder))) {
            int[] tokens = loaded.encodePrompt(text == null ? SampleText.TEXT : Files.readString(text));
            nTokens = Math.min(tokens.length, maxTokens);
            if (nTokens < 1) {
                throw new IllegalArgumentException(("Plot of %s: the text has %d tokens and --tokens is %d; at least 1 "
                        + "is needed").formatted(checkpoint, tokens.length, maxTokens));
            }
            MagnitudeRecorder.run(loaded, Arrays.copyOf(tokens, nTokens), Interruption::check);
        }
        return recorder;
    }

    private static double outlier(ChannelMagnitudes one) {
        return ChannelMagnitudes.peakToMedian(one.before().length > 0 ? one.before() : one.after());
    }

    private static String describe(ChannelMagnitudes one) {
        float[] values = one.before().length > 0 ? one.before() : one.after();
        int peak = ChannelMagnitudes.peak(values);
        String now = one.before().length > 0 && one.after().length > 0
                ? String.format(Locale.ROOT, "; after: %.3g, %.1f times",
                        one.after()[ChannelMagnitudes.peak(one.after())],
                        ChannelMagnitudes.peakToMedian(one.after()))
                : "";
        return String.format(Locale.ROOT, "layer %d %s: channel %d reaches %.3g, %.1f times the median channel%s",
                one.layer(), one.site().name().toLowerCase(Locale.ROOT), peak, values[peak],
                ChannelMagnitudes.peakToMedian(values), now);
    }
}
