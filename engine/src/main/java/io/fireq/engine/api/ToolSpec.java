package io.fireq.engine.api;

/**
 * A tool that the model may call.
 *
 * @param name        name
 * @param description what it does; may be empty
 * @param parameters  JSON schema of its arguments: an object schema, as JSON text
 */
public record ToolSpec(String name, String description, String parameters) {}
