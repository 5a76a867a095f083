package io.fireq.engine.quant.imports;

import io.fireq.engine.api.FireqException;
import io.fireq.engine.api.UnsupportedModelException;
import io.fireq.engine.json.Json;
import io.fireq.engine.json.JsonLimits;
import io.fireq.engine.json.JsonObject;
import io.fireq.engine.weights.v1.QuantizationInfo;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Optional;

/**
 * What a model directory says about its quantization: {@code quantization_config} in config.json, or in older checkpoints
 * {@code compression_config} there, quantize_config.json (AutoGPTQ) or quant_config.json (AutoAWQ).
 *
 * @param method {@code quant_method}, in lower case
 * @param entry  the entry
 */
record ForeignQuantization(String method, JsonObject entry) {

    /** Empty where the directory says nothing. */
    static Optional<ForeignQuantization> read(Path directory) {
        Path config = directory.resolve("config.json");
        Optional<JsonObject> json = Files.isRegularFile(config)
                ? Optional.of(Json.readObject(config, JsonLimits.CONFIG))
                : Optional.empty();
        return json.flatMap(c -> c.object(QuantizationInfo.CONFIG_KEY).or(() -> c.object("compression_config")))
                .map(entry -> of(entry, entry.requireString("quant_method")))
                .or(() -> ofFile(directory.resolve("quantize_config.json"), "gptq"))
                .or(() -> ofFile(directory.resolve("quant_config.json"), "awq"));
    }

    private static Optional<ForeignQuantization> ofFile(Path file, String defaultMethod) {
        if (!Files.isRegularFile(file)) {
            return Optional.empty();
        }
        JsonObject entry = Json.readObject(file, JsonLimits.CONFIG);
        return Optional.of(of(entry, entry.string("quant_method").orElse(defaultMethod)));
    }

    private static ForeignQuantization of(JsonObject entry, String method) {
        return new ForeignQuantization(method.toLowerCase(Locale.ROOT), entry);
    }

    boolean isFireq() {
        return method.equals(QuantizationInfo.METHOD);
    }

    /**
     * How the weights are stored.
     *
     * @throws UnsupportedModelException when FireQ does not import it
     */
    SourceLayout layout() {
        return switch (method) {
            case "gptq" -> GptqLayout.of(entry);
            case "awq" -> AwqLayout.of(entry);
            case "compressed-tensors" -> CompressedTensorsLayout.of(entry);
            case QuantizationInfo.METHOD -> throw new FireqException(
                    "Importing %s: it is a FireQ checkpoint already, use it as it is".formatted(entry.path()));
            default -> throw Refusals.unsupported(entry, "the weights are quantized by '%s'".formatted(method),
                    "gptq, awq, compressed-tensors");
        };
    }
}
