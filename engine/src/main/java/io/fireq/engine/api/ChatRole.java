package io.fireq.engine.api;

/** Who speaks in a chat. */
public enum ChatRole {
    SYSTEM,
    USER,
    ASSISTANT,
    /** The result of a tool call. */
    TOOL
}
