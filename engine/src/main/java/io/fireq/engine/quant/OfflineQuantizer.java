package io.fireq.engine.quant;

import io.fireq.engine.api.FireqException;
import io.fireq.engine.api.UnsupportedModelException;
import io.fireq.engine.model.ModelConfig;
import io.fireq.engine.tensor.Bf16;
import io.fireq.engine.tensor.DType;
import io.fireq.engine.tensor.FloatMatrix;
import io.fireq.engine.tensor.HostTensor;
import io.fireq.engine.tensor.WeightMatrix;
import io.fireq.engine.weights.Checkpoint;
import io.fireq.engine.weights.QuantizedCheckpointWriter;
import io.fireq.engine.weights.v1.QuantizationInfo;
import io.fireq.engine.weights.v1.TensorReport;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.Consumer;

/**
 * Turns a Hugging Face checkpoint into a FireQ checkpoint, layer by layer: memory is bounded by the matrices in flight,
 * not by the model. Same input and options give the same bytes.
 */
public final class OfflineQuantizer {
    private static final List<String> COMPANION_FILES = List.of("tokenizer.json", "tokenizer.model",
            "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja", "generation_config.json",
            "LICENSE", "LICENSE.txt");

    private final QuantizerOptions options;
    private final Progress progress;

    public OfflineQuantizer(QuantizerOptions options, Progress progress) {
        this.options = options;
        this.progress = progress;
    }

    /**
     * Quantizes {@code source} into the new directory {@code target}. Either the whole checkpoint appears there or
     * nothing.
     *
     * @return the error table, in the order of the layers
     * @throws UnsupportedModelException if the source is quantized already
     * @throws FireqException            if reading or writing fails
     */
    public List<TensorReport> quantize(Path source, Path target) {
        ModelConfig config = ModelConfig.read(source);
        ExecutorService workers = Executors.newFixedThreadPool(Runtime.getRuntime().availableProcessors(), work -> {
            Thread thread = new Thread(work, "fireq-quantizer");
            thread.setDaemon(true);
            return thread;
        });
        try (Checkpoint checkpoint = Checkpoint.open(source);
                QuantizedCheckpointWriter writer =
                        QuantizedCheckpointWriter.create(target, source.resolve("config.json"), info(config))) {
            if (checkpoint.quantization().isPresent()) {
                throw new UnsupportedModelException(
                        "Quantizing %s: it is a FireQ checkpoint already; start from the original".formatted(source));
            }
            List<TensorReport> reports = new ArrayList<>();
            List<Job> jobs = jobs(config, checkpoint);
            run(jobs, workers, result -> {
                writer.addLinear(result.matrix().name(), result.matrix());
                writer.addReport(result.report());
                reports.add(result.report());
                progress.layerDone(result.report(), reports.size(), jobs.size());
            });
            copyVectors(config, checkpoint, writer);
            for (String file : COMPANION_FILES) {
                if (Files.isRegularFile(source.resolve(file))) {
                    writer.copyFile(source.resolve(file));
                }
            }
            writer.finish();
            return reports;
        } finally {
            workers.shutdownNow();
        }
    }

    private QuantizationInfo info(ModelConfig config) {
        return new QuantizationInfo(options.profile().name().toLowerCase(Locale.ROOT), options.groupSize(),
                new QuantizationInfo.KvCache(options.profile().kvKind(), config.headDim(), 0),
                Map.of(), List.of(), Map.of());
    }

    private List<Job> jobs(ModelConfig config, Checkpoint checkpoint) {
        int hiddenSize = config.hiddenSize();
        int qSize = config.nHeads() * config.headDim();
        int kvSize = config.nKvHeads() * config.headDim();
        List<Job> jobs = new ArrayList<>();
        boolean sharedTable = config.tieEmbeddings() && options.embedding() == options.head();
        jobs.add(new Job(checkpoint, "model.embed_tokens", "model.embed_tokens", config.vocabSize(), hiddenSize,
                options.embedding()));
        for (int layer = 0; layer < config.nLayers(); layer++) {
            String attn = "model.layers." + layer + ".self_attn.";
            String mlp = "model.layers." + layer + ".mlp.";
            jobs.add(int4(checkpoint, attn + "q_proj", qSize, hiddenSize));
            jobs.add(int4(checkpoint, attn + "k_proj", kvSize, hiddenSize));
            jobs.add(int4(checkpoint, attn + "v_proj", kvSize, hiddenSize));
            jobs.add(int4(checkpoint, attn + "o_proj", hiddenSize, qSize));
            jobs.add(int4(checkpoint, mlp + "gate_proj", config.ffnSize(), hiddenSize));
            jobs.add(int4(checkpoint, mlp + "up_proj", config.ffnSize(), hiddenSize));
            jobs.add(int4(checkpoint, mlp + "down_proj", hiddenSize, config.ffnSize()));
        }
        if (!sharedTable) {
            String source = config.tieEmbeddings() ? "model.embed_tokens" : "lm_head";
            jobs.add(new Job(checkpoint, source, "lm_head", config.vocabSize(), hiddenSize, options.head()));
        }
        return jobs;
    }

    private static Job int4(Checkpoint checkpoint, String layerName, int n, int k) {
        return new Job(checkpoint, layerName, layerName, n, k, QuantizerOptions.TableFormat.INT4);
    }

    /** A few jobs ahead of the writer, so that all processors work and memory stays bounded. */
    private void run(List<Job> jobs, ExecutorService workers, Consumer<Quantized> sink) {
        int ahead = Runtime.getRuntime().availableProcessors() + 1;
        List<Future<Quantized>> running = new ArrayList<>();
        for (int i = 0; i < jobs.size() + ahead; i++) {
            if (i < jobs.size()) {
                Job job = jobs.get(i);
                running.add(workers.submit(() -> quantize(job)));
            }
            if (i >= ahead && i - ahead < jobs.size()) {
                sink.accept(result(running.set(i - ahead, null)));
            }
        }
    }

    private static Quantized result(Future<Quantized> future) {
        try {
            return future.get();
        } catch (ExecutionException e) {
            throw e.getCause() instanceof RuntimeException cause ? cause : new IllegalStateException(e.getCause());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new FireqException("Quantizing was interrupted; nothing was written", e);
        }
    }

    private Quantized quantize(Job job) {
        WeightMatrix source = job.checkpoint.linear(job.sourceName, job.n, job.k);
        float[] weights = ((FloatMatrix) source).tensor().toFloats();
        for (int i = 0; i < weights.length; i++) {
            if (!Float.isFinite(weights[i])) {
                throw new FireqException("Quantizing '%s': the weight at row %d, column %d is %s; the source is damaged"
                        .formatted(job.sourceName, i / job.k, i % job.k, weights[i]));
            }
        }
        WeightMatrix matrix = switch (job.format) {
            case BF16 -> bf16(job, weights);
            case E4M3 -> E4m3RowQuantizer.quantize(job.targetName, weights, job.n, job.k);
            case INT4 -> options.profile().weightQuantizer()
                    .quantize(job.targetName, weights.clone(), job.n, job.k, options.groupSizeFor(job.k));
        };
        int groupSize = job.format == QuantizerOptions.TableFormat.INT4 ? options.groupSizeFor(job.k) : 0;
        return new Quantized(matrix, new TensorReport(job.targetName, job.format.name().toLowerCase(Locale.ROOT),
                groupSize, Map.of(TensorReport.SQNR_DB, sqnrDb(weights, matrix))));
    }

    private static WeightMatrix bf16(Job job, float[] weights) {
        ByteBuffer data = ByteBuffer.allocate(weights.length * 2).order(ByteOrder.LITTLE_ENDIAN);
        for (int i = 0; i < weights.length; i++) {
            data.putShort(i * 2, Bf16.encode(weights[i]));
        }
        return new FloatMatrix(
                new HostTensor(job.targetName, DType.BF16, List.of(job.n, job.k), data));
    }

    private static double sqnrDb(float[] weights, WeightMatrix matrix) {
        double signal = 0;
        double noise = 0;
        int i = 0;
        for (int row = 0; row < matrix.n(); row++) {
            for (int column = 0; column < matrix.k(); column++, i++) {
                double error = weights[i] - matrix.get(row, column);
                signal += (double) weights[i] * weights[i];
                noise += error * error;
            }
        }
        return Math.round(1000 * Math.log10(signal / noise)) / 100.0;
    }

    private static void copyVectors(ModelConfig config, Checkpoint checkpoint, QuantizedCheckpointWriter writer) {
        TreeMap<String, HostTensor> norms = new TreeMap<>();
        for (int layer = 0; layer < config.nLayers(); layer++) {
            for (String norm : List.of("input_layernorm", "post_attention_layernorm")) {
                String name = "model.layers." + layer + "." + norm + ".weight";
                norms.put(name, checkpoint.tensor(name, config.hiddenSize()));
            }
        }
        norms.put("model.norm.weight", checkpoint.tensor("model.norm.weight", config.hiddenSize()));
        norms.values().forEach(writer::addTensor);
    }

    /** Told about each layer, in order. */
    public interface Progress {
        void layerDone(TensorReport report, int done, int total);
    }

    private record Job(Checkpoint checkpoint, String sourceName, String targetName, int n, int k,
            QuantizerOptions.TableFormat format) {}

    private record Quantized(WeightMatrix matrix, TensorReport report) {}
}
