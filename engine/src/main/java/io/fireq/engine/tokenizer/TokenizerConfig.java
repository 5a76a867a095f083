package io.fireq.engine.tokenizer;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import io.fireq.engine.api.ModelFormatException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/**
 * What {@code tokenizer_config.json} and {@code special_tokens_map.json} say. Missing files are empty ones. Immutable.
 *
 * @param bosToken     text of the token that starts a sequence
 * @param eosToken     text of the token that ends a turn
 * @param unkToken     text of the token for what the vocabulary lacks
 * @param chatTemplate Jinja source of the (default) chat template
 */
public record TokenizerConfig(
        Optional<String> bosToken,
        Optional<String> eosToken,
        Optional<String> unkToken,
        Optional<String> chatTemplate) {

    /** @throws ModelFormatException a file is not the JSON it should be */
    public static TokenizerConfig read(Path modelDir) {
        Path configFile = modelDir.resolve("tokenizer_config.json");
        JsonNode config = readOrEmpty(configFile);
        JsonNode map = readOrEmpty(modelDir.resolve("special_tokens_map.json"));
        return new TokenizerConfig(
                token("bos_token", config, map),
                token("eos_token", config, map),
                token("unk_token", config, map),
                chatTemplate(configFile, config.path("chat_template")));
    }

    private static JsonNode readOrEmpty(Path file) {
        return Files.exists(file) ? JsonFile.read(file) : JsonNodeFactory.instance.objectNode();
    }

    /** A token is written as its text or as an object that holds the text. */
    private static Optional<String> token(String name, JsonNode... files) {
        for (JsonNode file : files) {
            JsonNode value = file.path(name);
            JsonNode text = value.isObject() ? value.path("content") : value;
            if (text.isTextual()) {
                return Optional.of(text.textValue());
            }
        }
        return Optional.empty();
    }

    /** One template, or a list of named ones of which {@code default} is for chats. */
    private static Optional<String> chatTemplate(Path file, JsonNode value) {
        if (value.isMissingNode() || value.isNull()) {
            return Optional.empty();
        }
        if (value.isTextual()) {
            return Optional.of(value.textValue());
        }
        if (value.isArray()) {
            for (JsonNode named : value) {
                if ("default".equals(named.path("name").textValue()) && named.path("template").isTextual()) {
                    return Optional.of(named.path("template").textValue());
                }
            }
            return Optional.empty();
        }
        throw new ModelFormatException(file, -1,
                "chat_template is %s but must be a string or a list of {name, template}".formatted(value.getNodeType()));
    }
}
