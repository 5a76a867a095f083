package io.fireq.engine.json;

/**
 * How much of a file a reader is willing to take. The product of the limits bounds the memory of the parsed tree.
 *
 * @param maxBytes        length of the document
 * @param maxTokens       names, values and brackets in it
 * @param maxDepth        nested objects and arrays
 * @param maxStringLength characters in one string value
 */
public record JsonLimits(int maxBytes, int maxTokens, int maxDepth, int maxStringLength) {
    /** config.json and its neighbours; a large chat template fits. */
    public static final JsonLimits CONFIG = new JsonLimits(8 << 20, 1 << 20, 32, 2 << 20);
    /** model.safetensors.index.json: one line for each tensor. */
    public static final JsonLimits INDEX = new JsonLimits(64 << 20, 2 << 20, 8, 1 << 16);
    /** A line of a JSON lines file: mostly one text. */
    public static final JsonLimits LINE = new JsonLimits(16 << 20, 1 << 16, 16, 16 << 20);
    /** tokenizer.json: vocabulary and merges. */
    public static final JsonLimits TOKENIZER = new JsonLimits(128 << 20, 16 << 20, 32, 1 << 20);
}
