package io.fireq.engine.quant;

import io.fireq.engine.backend.KvFormat;
import io.fireq.engine.model.ModelConfig;
import io.fireq.engine.quant.calibration.BlockRunner;
import io.fireq.engine.quant.calibration.SmoothingMagnitudes;
import io.fireq.engine.quant.smoothing.BlockWeights;
import io.fireq.engine.quant.smoothing.NormFolding;
import io.fireq.engine.quant.smoothing.ResidualRotation;
import io.fireq.engine.tensor.Bf16;
import io.fireq.engine.tensor.WeightMatrix;
import io.fireq.engine.weights.Checkpoint;
import io.fireq.engine.weights.QuantizedCheckpointWriter;
import io.fireq.engine.weights.v1.QuantizationInfo;
import io.fireq.engine.weights.v1.TensorReport;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;

/** One quantization: pieces that are not complete yet are made, then all are put together. */
final class QuantizationRun {
    private static final String EMBEDDING_PIECE = "embedding";
    private static final String HEAD_PIECE = "head";

    private final QuantizerOptions options;
    private final ModelConfig config;
    private final ModelWeights weights;
    private final Calibration calibration;
    private final WorkDirectory work;
    private final QuantizerDevice device;
    private final MatrixMath math;
    private final QuantizerProgress progress;
    private final TableQuantizer tables;
    private final ResidualRotation rotation;
    private int tensorsDone;

    QuantizationRun(QuantizerOptions options, ModelConfig config, Checkpoint source, Calibration calibration,
            WorkDirectory work, QuantizerDevice device, MatrixMath math, QuantizerProgress progress) {
        this.options = options;
        this.config = config;
        this.weights = new ModelWeights(config, source);
        this.calibration = calibration;
        this.work = work;
        this.device = device;
        this.math = math;
        this.progress = progress;
        tables = new TableQuantizer(options, config, math);
        rotation = options.profile() == Profile.BEST && options.has(Part.RESIDUAL_ROTATION)
                ? new ResidualRotation(config.hiddenSize(), options.calibration().seed())
                : null;
    }

    /** A tied head shares the embedding's table if both are stored alike and hold the same. */
    private boolean sharesTable() {
        return config.tieEmbeddings() && options.embedding() == options.head() && rotation == null;
    }

    private int totalTensors() {
        return 1 + 7 * config.nLayers() + (sharesTable() ? 0 : 1);
    }

    /** Makes what is missing. */
    void quantizePieces() {
        WeightMatrix embedding = embedding();
        int firstBlock = work.completeBlocks();
        ProgressMeter meter = new ProgressMeter(progress, Math.min(firstBlock, config.nLayers() - 1),
                config.nLayers(), System::nanoTime);
        for (int layer = 0; layer < firstBlock; layer++) {
            tell(work.reports(WorkDirectory.block(layer)));
        }
        if (calibration.windows().isEmpty()) {
            quantizeBlocks(firstBlock, options.profile() == Profile.PAPER
                    ? new PaperBlockQuantizer(options, config, math, null, null, meter)
                    : new PlainBlockQuantizer(options, config, math, meter), null, meter);
            head(null);
            return;
        }
        int windowLen = calibration.windows().stream().mapToInt(window -> window.length).max().orElseThrow();
        try (CalibrationSet set = new CalibrationSet(config, calibration.windows(), work.path(), firstBlock);
                BlockRunner reference = new BlockRunner(device.openReference(options), config,
                        new KvFormat(KvFormat.Kind.FLOAT32, config.headDim()), 0, windowLen);
                BlockRunner quantized = new BlockRunner(device.openQuantized(options), config, kvFormat(),
                        BlockSmoothing.hadamardBlock(options, config), windowLen)) {
            if (firstBlock == 0) {
                embed(set, embedding);
            }
            quantizeBlocks(firstBlock, options.profile() == Profile.PAPER
                    ? new PaperBlockQuantizer(options, config, math, set, reference, meter)
                    : new BestBlockQuantizer(options, config, math, set, quantized, reference, meter), set, meter);
            head(new TableQuantizer.FinalStreams(set, quantized, reference));
        }
    }

    private void quantizeBlocks(int firstBlock, BlockQuantizer quantizer, CalibrationSet set, ProgressMeter meter) {
        CompletableFuture<BlockWeights> next = readAhead(firstBlock);
        for (int layer = firstBlock; layer < config.nLayers(); layer++) {
            BlockWeights original = arrived(next);
            next = readAhead(layer + 1);
            QuantizedBlock block = quantizer.quantize(layer, original);
            if (set != null) {
                set.force();
            }
            work.commit(WorkDirectory.block(layer), block);
            if (set != null) {
                set.advance();
                set.forgetPrevious();
            }
            meter.blockDone();
            tell(block.reports());
        }
    }

    /** The next layer's weights are read while this one is quantized. */
    private CompletableFuture<BlockWeights> readAhead(int layer) {
        return layer < config.nLayers() ? CompletableFuture.supplyAsync(() -> weights.block(layer)) : null;
    }

    private static BlockWeights arrived(CompletableFuture<BlockWeights> weights) {
        try {
            return weights.join();
        } catch (CompletionException e) {
            throw e.getCause() instanceof RuntimeException cause ? cause : e;
        }
    }

    private KvFormat kvFormat() {
        return new KvFormat(KvFormat.Kind.valueOf(options.profile().kvKind().name()),
                BlockSmoothing.kvGroupSize(options, config));
    }

    private WeightMatrix embedding() {
        float[] table = weights.embedding();
        if (rotation != null) {
            rotation.applyToRows(table);
        }
        QuantizedBlock piece = tables.plain(LayerNames.EMBEDDING, table, options.embedding());
        if (!work.isComplete(EMBEDDING_PIECE)) {
            work.commit(EMBEDDING_PIECE, piece);
        }
        tell(piece.reports());
        return piece.matrices().get(0);
    }

    private void embed(CalibrationSet set, WeightMatrix embedding) {
        float[] original = weights.embedding();
        if (rotation != null) {
            rotation.applyToRows(original);
        }
        int hiddenSize = config.hiddenSize();
        set.embed((row, target, offset) -> {
            for (int i = 0; i < hiddenSize; i++) {
                target[offset + i] = Bf16.round(embedding.get(row, i));
            }
        }, (row, target, offset) -> System.arraycopy(original, row * hiddenSize, target, offset, hiddenSize));
    }

    /** The final norm, and the head if it has a table of its own. */
    private void head(TableQuantizer.FinalStreams streams) {
        if (!work.isComplete(HEAD_PIECE)) {
            float[] norm = weights.finalNorm();
            if (sharesTable()) {
                work.commit(HEAD_PIECE, tables.norm(norm));
            } else {
                float[] head = weights.head();
                if (rotation != null) {
                    NormFolding.apply(norm, head);
                    rotation.applyToRows(head);
                }
                work.commit(HEAD_PIECE, tables.head(norm, head, streams));
            }
        }
        tell(work.reports(HEAD_PIECE));
    }

    private void tell(List<TensorReport> reports) {
        for (TensorReport report : reports) {
            progress.tensorDone(report, ++tensorsDone, totalTensors());
        }
    }

    /** Puts the pieces together. */
    List<TensorReport> writeCheckpoint(Path source, Path target) {
        QuantizationInfo info = new QuantizationInfo(options.profile().jsonName(), options.groupSize(),
                new QuantizationInfo.KvCache(options.profile().kvKind(), BlockSmoothing.kvGroupSize(options, config),
                        BlockSmoothing.hadamardBlock(options, config)),
                calibration.facts(options, math.description()), List.of(), Map.of());
        List<TensorReport> reports = new ArrayList<>();
        SmoothingMagnitudes magnitudes = new SmoothingMagnitudes();
        try (QuantizedCheckpointWriter writer =
                QuantizedCheckpointWriter.create(target, source.resolve("config.json"), info)) {
            for (String piece : pieces()) {
                writer.addTensors(work.tensors(piece));
                reports.addAll(work.reports(piece));
                magnitudes.putAll(work.magnitudes(piece));
            }
            reports.forEach(writer::addReport);
            if (!magnitudes.isEmpty()) {
                Path file = work.path().resolve(SmoothingMagnitudes.FILE);
                magnitudes.write(file);
                writer.copyFile(file);
            }
            CompanionFiles.of(source).forEach(writer::copyFile);
            writer.finish();
        }
        return reports;
    }

    private List<String> pieces() {
        List<String> pieces = new ArrayList<>(List.of(EMBEDDING_PIECE));
        for (int layer = 0; layer < config.nLayers(); layer++) {
            pieces.add(WorkDirectory.block(layer));
        }
        pieces.add(HEAD_PIECE);
        return pieces;
    }
}
