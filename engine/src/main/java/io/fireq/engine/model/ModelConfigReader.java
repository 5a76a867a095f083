package io.fireq.engine.model;

import io.fireq.engine.api.ModelNotFoundException;
import io.fireq.engine.api.UnsupportedModelException;
import io.fireq.engine.json.Json;
import io.fireq.engine.json.JsonLimits;
import io.fireq.engine.json.JsonObject;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalInt;

/** config.json in Hugging Face's spelling; the only place that knows it. Defaults are those of their LlamaConfig. */
final class ModelConfigReader {
    private static final String CONFIG_FILE = "config.json";
    private static final List<String> SUPPORTED_ARCHITECTURES = List.of("LlamaForCausalLM");
    private static final List<String> SUPPORTED_ACTIVATIONS = List.of("silu", "swish");
    private static final String SUPPORTED_ROPE = "default, linear, llama3";

    // Far above any model, low enough that products of two of them cannot overflow a long.
    private static final int MAX_WIDTH = 1 << 20;
    private static final int MAX_LAYERS = 1 << 12;
    private static final int MAX_HEADS = 1 << 12;
    private static final int MAX_HEAD_DIM = 1 << 12;
    private static final int MAX_VOCAB = 1 << 24;
    private static final int MAX_POSITIONS = 1 << 27;
    private static final double MAX_THETA = 1e15;
    private static final double MAX_FACTOR = 1e6;

    private final JsonObject json;

    private ModelConfigReader(JsonObject json) {
        this.json = json;
    }

    static ModelConfig read(Path directory) {
        Path file = directory.resolve(CONFIG_FILE);
        if (!Files.isRegularFile(file)) {
            throw new ModelNotFoundException("No %s in %s; give the path of a Hugging Face model directory"
                    .formatted(CONFIG_FILE, directory));
        }
        return new ModelConfigReader(Json.readObject(file, JsonLimits.CONFIG)).read();
    }

    private ModelConfig read() {
        String architecture = architecture();
        refuseUnsupported();
        int hiddenSize = json.requireInt("hidden_size", 1, MAX_WIDTH);
        int nHeads = json.requireInt("num_attention_heads", 1, MAX_HEADS);
        int nKvHeads = json.intOr("num_key_value_heads", nHeads, 1, nHeads);
        if (nHeads % nKvHeads != 0) {
            throw json.malformed("num_key_value_heads",
                    "is %d; required is a divisor of num_attention_heads, %d".formatted(nKvHeads, nHeads));
        }
        int maxPositions = json.requireInt("max_position_embeddings", 1, MAX_POSITIONS);
        int vocabSize = json.requireInt("vocab_size", 1, MAX_VOCAB);
        Optional<JsonObject> rope = ropeEntry();
        return new ModelConfig(architecture, hiddenSize, json.requireInt("intermediate_size", 1, MAX_WIDTH),
                json.requireInt("num_hidden_layers", 1, MAX_LAYERS), nHeads, nKvHeads, headDim(hiddenSize, nHeads),
                vocabSize, maxPositions, (float) json.doubleOr("rms_norm_eps", 1e-6, 1e-12, 1), ropeTheta(rope),
                rope.map(entry -> ropeScaling(entry, maxPositions)).orElse(new RopeScaling.None()),
                json.booleanOr("tie_word_embeddings", false), bosId(vocabSize),
                json.ints("eos_token_id", 0, vocabSize - 1));
    }

    private String architecture() {
        List<String> names = json.strings("architectures");
        if (names.isEmpty() && json.string("model_type").filter("llama"::equals).isPresent()) {
            return SUPPORTED_ARCHITECTURES.get(0);
        }
        return names.stream().filter(SUPPORTED_ARCHITECTURES::contains).findFirst()
                .orElseThrow(() -> unsupported("the architecture is %s", names.isEmpty()
                        ? "not named, model_type is " + json.string("model_type").orElse("not, either")
                        : String.join(", ", names), String.join(", ", SUPPORTED_ARCHITECTURES)));
    }

    private void refuseUnsupported() {
        for (String bias : List.of("attention_bias", "mlp_bias")) {
            if (json.booleanOr(bias, false)) {
                throw unsupported(bias + " is %s", "true", "linear layers without bias");
            }
        }
        String activation = json.string("hidden_act").orElse("silu");
        if (!SUPPORTED_ACTIVATIONS.contains(activation.toLowerCase(Locale.ROOT))) {
            throw unsupported("hidden_act is %s", activation, String.join(", ", SUPPORTED_ACTIVATIONS));
        }
    }

    private int headDim(int hiddenSize, int nHeads) {
        if (!json.has("head_dim") && hiddenSize % nHeads != 0) {
            throw json.malformed("num_attention_heads", "is %d; required without a head_dim is a divisor of "
                    .formatted(nHeads) + "hidden_size, %d".formatted(hiddenSize));
        }
        int headDim = json.intOr("head_dim", hiddenSize / nHeads, 1, MAX_HEAD_DIM);
        if (headDim % 2 != 0 || headDim > MAX_HEAD_DIM) {
            throw json.malformed("head_dim", "is %,d; required is an even integer from 2 to %,d, rotary embedding "
                    .formatted(headDim, MAX_HEAD_DIM) + "turns channels in pairs");
        }
        return headDim;
    }

    /** {@code rope_parameters} since transformers 5, {@code rope_scaling} before; the same entries. */
    private Optional<JsonObject> ropeEntry() {
        return json.object("rope_parameters").or(() -> json.object("rope_scaling"));
    }

    private double ropeTheta(Optional<JsonObject> rope) {
        JsonObject place = rope.filter(entry -> entry.has("rope_theta")).orElse(json);
        return place.doubleOr("rope_theta", 10_000, 1, MAX_THETA);
    }

    private RopeScaling ropeScaling(JsonObject rope, int maxPositions) {
        if (rope.doubleOr("partial_rotary_factor", 1, 0, 1) != 1) {
            throw unsupported("partial_rotary_factor is %s", "not 1", "rotation of whole heads");
        }
        String type = rope.string("rope_type").or(() -> rope.string("type")).orElse("default");
        return switch (type) {
            case "default" -> new RopeScaling.None();
            case "linear" -> new RopeScaling.Linear(rope.requireDouble("factor", 1, MAX_FACTOR));
            case "llama3" -> llama3(rope, maxPositions);
            default -> throw unsupported("the rope_type is %s", type, SUPPORTED_ROPE);
        };
    }

    private RopeScaling llama3(JsonObject rope, int maxPositions) {
        String originalKey = "original_max_position_embeddings";
        JsonObject place = rope.has(originalKey) ? rope : json;
        double low = rope.requireDouble("low_freq_factor", 1e-6, MAX_FACTOR);
        double high = rope.requireDouble("high_freq_factor", 1e-6, MAX_FACTOR);
        if (low >= high) {
            throw rope.malformed("high_freq_factor", "is %s; required is more than low_freq_factor, %s"
                    .formatted(high, low));
        }
        return new RopeScaling.Llama3(rope.requireDouble("factor", 1, MAX_FACTOR), low, high,
                place.intOr(originalKey, maxPositions, 1, MAX_POSITIONS));
    }

    private OptionalInt bosId(int vocabSize) {
        return json.has("bos_token_id")
                ? OptionalInt.of(json.requireInt("bos_token_id", 0, vocabSize - 1))
                : OptionalInt.empty();
    }

    private UnsupportedModelException unsupported(String what, String actual, String supported) {
        return new UnsupportedModelException("%s: %s; supported: %s; choose another model"
                .formatted(json.path(), what.formatted(actual), supported));
    }
}
