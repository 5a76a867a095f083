package io.fireq.engine.tokenizer;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.fireq.engine.api.ModelFormatException;
import io.fireq.engine.api.UnsupportedModelException;
import io.fireq.engine.tokenizer.SpecialTokens.SpecialToken;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * A {@code tokenizer.json} taken apart: the special tokens, the text of every id, the decoder, and the same tokenizer
 * without its special tokens for the native library.
 *
 * <p>Without them the native library reads {@code <|eot_id|>} as the nine characters that it is.
 */
final class TokenizerJson {
    /** Above any vocabulary in use; a larger id is a broken file, not a reason to allocate. */
    private static final int MAX_VOCAB_SIZE = 1 << 22;

    private final Path file;
    private final ObjectNode root;
    private final Map<String, Integer> idOfToken = new HashMap<>();
    private final Map<Integer, String> addedText = new HashMap<>();
    private final List<SpecialToken> specials = new ArrayList<>();
    private final Optional<String> firstToken;

    /**
     * @param file where it came from, for messages
     * @param root the parsed file; taken over and changed
     */
    TokenizerJson(Path file, ObjectNode root) {
        this.file = file;
        this.root = root;
        readVocab();
        readAddedTokens();
        firstToken = firstToken(root.path("post_processor"));
        root.putNull("truncation");
        root.putNull("padding");
        root.putNull("post_processor");
    }

    private void readVocab() {
        JsonNode model = root.path("model");
        if (!"BPE".equals(model.path("type").asText("BPE"))) {
            throw new UnsupportedModelException("%s: tokenizer model is %s but FireQ reads BPE; use a Llama tokenizer"
                    .formatted(file, model.path("type").asText()));
        }
        if (!model.path("vocab").isObject() || !model.path("merges").isArray()) {
            throw new ModelFormatException(file, -1, "model.vocab must be an object and model.merges a list, found "
                    + "%s and %s; fetch the file again".formatted(model.path("vocab").getNodeType(),
                            model.path("merges").getNodeType()));
        }
        model.path("vocab").properties()
                .forEach(entry -> idOfToken.put(entry.getKey(), tokenId(entry.getKey(), entry.getValue())));
    }

    private void readAddedTokens() {
        if (!(root.path("added_tokens") instanceof ArrayNode added)) {
            return;
        }
        ArrayNode ordinary = root.arrayNode();
        for (JsonNode token : added) {
            String content = token.path("content").textValue();
            if (content == null) {
                throw new ModelFormatException(file, -1, "an added token has no content: %s; fetch the file again"
                        .formatted(token));
            }
            int id = tokenId(content, token.path("id"));
            idOfToken.put(content, id);
            addedText.put(id, content);
            if (!token.path("special").asBoolean()) {
                ordinary.add(token);
                // The library numbers added tokens anew, after the vocabulary, unless they are part of it.
                ((ObjectNode) root.path("model").path("vocab")).put(content, id);
                continue;
            }
            if (token.path("single_word").asBoolean()) {
                throw new UnsupportedModelException(
                        "%s: special token '%s' has single_word=true, which FireQ does not read; set it to false"
                                .formatted(file, content));
            }
            specials.add(new SpecialToken(id, content, token.path("lstrip").asBoolean(),
                    token.path("rstrip").asBoolean()));
        }
        root.set("added_tokens", ordinary);
        makeSpecialsUnreachable();
    }

    /** Some vocabularies list special tokens among the ordinary ones, where a merge could spell one out of plain text. */
    private void makeSpecialsUnreachable() {
        ObjectNode model = (ObjectNode) root.path("model");
        String unk = model.path("unk_token").textValue();
        Map<String, Integer> special = new HashMap<>();
        specials.forEach(token -> special.put(token.content(), token.id()));
        ObjectNode vocab = (ObjectNode) model.path("vocab");
        special.keySet().stream().filter(content -> !content.equals(unk)).forEach(vocab::remove);
        ArrayNode merges = root.arrayNode();
        for (JsonNode merge : model.path("merges")) {
            if (!special.containsKey(merged(merge))) {
                merges.add(merge);
            }
        }
        model.set("merges", merges);
    }

    /** A merge is written as a pair, or in older files as one string with a space between its halves. */
    private static String merged(JsonNode merge) {
        return merge.isArray()
                ? merge.path(0).asText() + merge.path(1).asText()
                : merge.asText().replaceFirst(" ", "");
    }

    private static Optional<String> firstToken(JsonNode postProcessor) {
        for (JsonNode child : postProcessor.path("processors")) {
            Optional<String> token = firstToken(child);
            if (token.isPresent()) {
                return token;
            }
        }
        return Optional.ofNullable(postProcessor.path("single").path(0).path("SpecialToken").path("id").textValue());
    }

    private int tokenId(String token, JsonNode id) {
        if (!id.isInt() || id.intValue() < 0 || id.intValue() >= MAX_VOCAB_SIZE) {
            throw new ModelFormatException(file, -1, "token '%s' has id %s but ids are integers in [0, %,d)"
                    .formatted(token, id, MAX_VOCAB_SIZE));
        }
        return id.intValue();
    }

    List<SpecialToken> specials() {
        return specials;
    }

    /** @return the token that the post-processor would put in front of a text */
    Optional<String> firstToken() {
        return firstToken;
    }

    /** Ids of ordinary and added tokens by their text as the file spells it. */
    Map<String, Integer> idOfToken() {
        return idOfToken;
    }

    /** Text of the added tokens, special or not, by id; it is literal, not in the decoder's alphabet. */
    Map<Integer, String> addedText() {
        return addedText;
    }

    JsonNode decoder() {
        return root.path("decoder");
    }

    /** @return the file for the native library, without special tokens, post-processor, padding and truncation */
    String withoutSpecials() {
        return write(root);
    }

    /**
     * Some tokenizers put their dummy space in front of the first stretch of text only.
     *
     * @return the file for stretches after a special token, or null where they are treated like the first
     */
    String withoutSpecialsAfterFirst() {
        JsonNode preTokenizer = root.path("pre_tokenizer");
        JsonNode other = preTokenizer.deepCopy();
        if (!neverPrepend(other)) {
            return null;
        }
        root.set("pre_tokenizer", other);
        String json = write(root);
        root.set("pre_tokenizer", preTokenizer);
        return json;
    }

    /** @return whether anything was changed */
    private static boolean neverPrepend(JsonNode preTokenizer) {
        if ("first".equals(preTokenizer.path("prepend_scheme").asText()) && preTokenizer instanceof ObjectNode object) {
            object.put("prepend_scheme", "never");
            return true;
        }
        boolean changed = false;
        for (JsonNode child : preTokenizer.path("pretokenizers")) {
            changed |= neverPrepend(child);
        }
        return changed;
    }

    private static String write(ObjectNode node) {
        try {
            return JsonFile.MAPPER.writeValueAsString(node);
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("a parsed JSON tree cannot be written", e);
        }
    }
}
