package io.fireq.engine.quant;

import io.fireq.engine.api.FireqException;
import io.fireq.engine.api.UnsupportedModelException;
import io.fireq.engine.model.ModelConfig;
import io.fireq.engine.quant.calibration.CalibrationText;
import io.fireq.engine.tokenizer.Tokenizer;
import io.fireq.engine.weights.Checkpoint;
import io.fireq.engine.weights.QuantizedCheckpointWriter;
import io.fireq.engine.weights.v1.TensorReport;
import java.nio.file.Path;
import java.util.List;

/**
 * Turns a Hugging Face checkpoint into a FireQ checkpoint, a decoder layer at a time: memory is bounded by a layer and a
 * window of calibration text, not by the model. What is finished when the work ends early stays in a hidden directory
 * beside the target, and the same call takes it up.
 *
 * <p>Same source, options and kind of CPU kernels or of GPU, same bytes, whatever the number of threads.
 */
public final class OfflineQuantizer {
    private final QuantizerOptions options;
    private final QuantizerProgress progress;

    public OfflineQuantizer(QuantizerOptions options, QuantizerProgress progress) {
        this.options = options;
        this.progress = progress;
    }

    /**
     * Quantizes {@code source} into the new directory {@code target}. Either the whole checkpoint appears there or
     * nothing.
     *
     * @return the error table, in the order of the layers
     * @throws UnsupportedModelException if the source is quantized already
     * @throws FireqException            if reading or writing fails, or the options do not fit the model
     */
    public List<TensorReport> quantize(Path source, Path target) {
        QuantizedCheckpointWriter.requireFree(target);
        ModelConfig config = ModelConfig.read(source);
        QuantizerDevice device = QuantizerDevice.choose(options.device());
        requireKvGroups(config);
        try (Checkpoint checkpoint = Checkpoint.open(source)) {
            if (checkpoint.quantization().isPresent()) {
                throw new UnsupportedModelException(
                        "Quantizing %s: it is a FireQ checkpoint already; start from the original".formatted(source));
            }
            Calibration calibration = calibration(source, config);
            String fingerprint = Fingerprint.of(source, checkpoint, options, device, calibration.windows());
            try (WorkDirectory work = WorkDirectory.open(target, fingerprint);
                    MatrixMath math = device.openMath(options)) {
                QuantizationRun run =
                        new QuantizationRun(options, config, checkpoint, calibration, work, device, math, progress);
                run.quantizePieces();
                List<TensorReport> reports = run.writeCheckpoint(source, target);
                work.delete();
                return reports;
            }
        }
    }

    private void requireKvGroups(ModelConfig config) {
        int groupSize = BlockSmoothing.kvGroupSize(options, config);
        if (config.headDim() % groupSize != 0) {
            throw new FireqException("Quantizer options: the KV cache's group size is %d; heads have %d channels, which "
                    .formatted(groupSize, config.headDim()) + "is no multiple of it; choose a divisor");
        }
    }

    private Calibration calibration(Path source, ModelConfig config) {
        if (!Calibration.isNeeded(options, config)) {
            return Calibration.NONE;
        }
        CalibrationOptions wanted = options.calibration();
        int count = wanted.windows() == 0 ? options.profile().calibrationWindows() : wanted.windows();
        int windowLen = wanted.windowLen() == 0
                ? Math.min(options.profile().calibrationWindowLen(), config.maxPositions())
                : wanted.windowLen();
        if (windowLen > config.maxPositions()) {
            throw new FireqException("Calibration options: windows of %,d tokens; the model's context has %,d"
                    .formatted(windowLen, config.maxPositions()));
        }
        CalibrationText text = CalibrationText.load(wanted.text());
        try (Tokenizer tokenizer = Tokenizer.load(source)) {
            return new Calibration(text.name(), text.windows(tokenizer, count, windowLen, wanted.seed()));
        }
    }
}
