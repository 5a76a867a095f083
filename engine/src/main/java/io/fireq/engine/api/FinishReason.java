package io.fireq.engine.api;

/** Why a generation ended. */
public enum FinishReason {
    /** The model ended its answer, or a stop sequence was reached. */
    STOP,
    /** The limit of new tokens or the context was reached. */
    LENGTH,
    /** The caller cancelled it. */
    CANCELLED
}
