package io.fireq.engine.api;

/**
 * A call the model asks for.
 *
 * @param name      the tool's name
 * @param arguments a JSON object
 */
public record ToolCall(String name, String arguments) {}
