package io.fireq.engine.bench;

import io.fireq.engine.json.Json;
import io.fireq.engine.model.ModelConfig;
import io.fireq.engine.tensor.Bf16;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.stream.IntStream;

/**
 * Writes a Hugging Face checkpoint of random bfloat16 weights, normal with a standard deviation of 0.02, and a few channels
 * of norms and embeddings that are much larger, to time the quantizer on. Arguments: the directory to create, the name of
 * a shape ({@link ModelShapes}), the number of layers, a directory with a tokenizer.
 */
public final class SyntheticCheckpoint {
    private static final double DEVIATION = 0.02;
    private static final int CHUNK_VALUES = 1 << 22;
    /** One channel in so many is an outlier. */
    private static final int OUTLIER_STEP = 512;
    private static final float OUTLIER = 20;

    private final Path directory;
    private final ModelConfig config;
    private final int nLayers;
    private final short[] normal = new short[1 << 16];

    private SyntheticCheckpoint(Path directory, ModelConfig config, int nLayers) {
        this.directory = directory;
        this.config = config;
        this.nLayers = nLayers;
        Random random = new Random(11);
        for (int i = 0; i < normal.length; i++) {
            normal[i] = Bf16.encode((float) (DEVIATION * random.nextGaussian()));
        }
    }

    public static void main(String[] args) throws IOException {
        Path directory = Files.createDirectories(Path.of(args[0]));
        new SyntheticCheckpoint(directory, ModelShapes.named(args[1]), Integer.parseInt(args[2])).write();
        for (String file : List.of("tokenizer.json", "tokenizer_config.json")) {
            Files.copy(Path.of(args[3]).resolve(file), directory.resolve(file));
        }
    }

    private void write() throws IOException {
        Map<String, Object> shardOf = new TreeMap<>();
        List<Map<String, int[]>> shards = IntStream.rangeClosed(0, nLayers).mapToObj(this::shapes).toList();
        IntStream.range(0, shards.size()).parallel().forEach(i -> writeShard(fileName(i), shards.get(i), i));
        for (int i = 0; i < shards.size(); i++) {
            for (String tensor : shards.get(i).keySet()) {
                shardOf.put(tensor, fileName(i));
            }
        }
        Files.writeString(directory.resolve("model.safetensors.index.json"),
                Json.write(Map.of("metadata", Map.of(), "weight_map", shardOf)));
        Map<String, Object> json = new LinkedHashMap<>();
        json.put("architectures", List.of("LlamaForCausalLM"));
        json.put("model_type", "llama");
        json.put("hidden_act", "silu");
        json.put("hidden_size", config.hiddenSize());
        json.put("intermediate_size", config.ffnSize());
        json.put("num_hidden_layers", nLayers);
        json.put("num_attention_heads", config.nHeads());
        json.put("num_key_value_heads", config.nKvHeads());
        json.put("head_dim", config.headDim());
        json.put("vocab_size", config.vocabSize());
        json.put("max_position_embeddings", config.maxPositions());
        json.put("rms_norm_eps", 1e-5);
        json.put("rope_theta", (double) 500_000);
        json.put("tie_word_embeddings", false);
        json.put("torch_dtype", "bfloat16");
        Files.writeString(directory.resolve("config.json"), Json.write(json));
    }

    private String fileName(int shard) {
        return "model-%05d-of-%05d.safetensors".formatted(shard + 1, nLayers + 1);
    }

    /** Tensors of a layer; those of none after the last. */
    private Map<String, int[]> shapes(int layer) {
        int hidden = config.hiddenSize();
        int qSize = config.nHeads() * config.headDim();
        int kvSize = config.nKvHeads() * config.headDim();
        Map<String, int[]> shapes = new LinkedHashMap<>();
        if (layer == nLayers) {
            shapes.put("model.embed_tokens.weight", new int[] {config.vocabSize(), hidden});
            shapes.put("lm_head.weight", new int[] {config.vocabSize(), hidden});
            shapes.put("model.norm.weight", new int[] {hidden});
            return shapes;
        }
        String prefix = "model.layers." + layer + ".";
        shapes.put(prefix + "input_layernorm.weight", new int[] {hidden});
        shapes.put(prefix + "self_attn.q_proj.weight", new int[] {qSize, hidden});
        shapes.put(prefix + "self_attn.k_proj.weight", new int[] {kvSize, hidden});
        shapes.put(prefix + "self_attn.v_proj.weight", new int[] {kvSize, hidden});
        shapes.put(prefix + "self_attn.o_proj.weight", new int[] {hidden, qSize});
        shapes.put(prefix + "post_attention_layernorm.weight", new int[] {hidden});
        shapes.put(prefix + "mlp.gate_proj.weight", new int[] {config.ffnSize(), hidden});
        shapes.put(prefix + "mlp.up_proj.weight", new int[] {config.ffnSize(), hidden});
        shapes.put(prefix + "mlp.down_proj.weight", new int[] {hidden, config.ffnSize()});
        return shapes;
    }

    private void writeShard(String fileName, Map<String, int[]> shapes, int seed) {
        Map<String, Object> header = new LinkedHashMap<>();
        long at = 0;
        for (Map.Entry<String, int[]> tensor : shapes.entrySet()) {
            long end = at + 2 * size(tensor.getValue());
            header.put(tensor.getKey(), Map.of("dtype", "BF16",
                    "shape", IntStream.of(tensor.getValue()).boxed().toList(), "data_offsets", List.of(at, end)));
            at = end;
        }
        String text = Json.write(header).strip();
        byte[] json = (text + " ".repeat((8 - text.length() % 8) % 8)).getBytes(StandardCharsets.UTF_8);
        try (FileChannel file = FileChannel.open(directory.resolve(fileName), StandardOpenOption.CREATE_NEW,
                StandardOpenOption.WRITE)) {
            ByteBuffer length = ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(json.length).flip();
            writeFully(file, length);
            writeFully(file, ByteBuffer.wrap(json));
            SplittableRandom random = new SplittableRandom(seed);
            ByteBuffer chunk = ByteBuffer.allocateDirect(2 * CHUNK_VALUES).order(ByteOrder.LITTLE_ENDIAN);
            for (Map.Entry<String, int[]> tensor : shapes.entrySet()) {
                boolean hasOutliers = tensor.getValue().length == 1 || tensor.getKey().contains("embed_tokens");
                for (long from = 0; from < size(tensor.getValue()); from += CHUNK_VALUES) {
                    int count = (int) Math.min(CHUNK_VALUES, size(tensor.getValue()) - from);
                    fill(chunk.clear().limit(2 * count), tensor.getValue().length == 1, hasOutliers, from, random);
                    writeFully(file, chunk);
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private void fill(ByteBuffer chunk, boolean isNorm, boolean hasOutliers, long from, SplittableRandom random) {
        int hidden = config.hiddenSize();
        int count = chunk.limit() / 2;
        for (int i = 0; i < count; i += 4) {
            long bits = random.nextLong();
            for (int j = i; j < Math.min(i + 4, count); j++, bits >>>= 16) {
                short value = isNorm ? Bf16.encode(1) : normal[(int) (bits & 0xffff)];
                if (hasOutliers && (from + j) % hidden % OUTLIER_STEP == 77) {
                    value = Bf16.encode(OUTLIER * Bf16.decode(value));
                }
                chunk.putShort(2 * j, value);
            }
        }
        chunk.rewind();
    }

    private static void writeFully(FileChannel file, ByteBuffer bytes) throws IOException {
        while (bytes.hasRemaining()) {
            file.write(bytes);
        }
    }

    private static long size(int[] shape) {
        return IntStream.of(shape).asLongStream().reduce(1, (a, b) -> a * b);
    }
}
