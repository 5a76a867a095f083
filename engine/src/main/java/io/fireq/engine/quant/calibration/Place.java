package io.fireq.engine.quant.calibration;

import io.fireq.engine.model.ModelConfig;
import java.util.Locale;

/** Where in a decoder layer channels are measured. */
public enum Place {
    /** What query, key and value take: the first norm's result. */
    ATTENTION_INPUT,
    /** Q after the rotation, as attention uses it. */
    QUERY,
    /** K after the rotation, as the cache stores it. */
    KEY,
    /** V, as the cache stores it. */
    VALUE,
    /** What the output layer takes. */
    ATTENTION_OUTPUT,
    /** What gate and up take: the second norm's result. */
    MLP_INPUT,
    /** What down takes. */
    MLP_GATED;

    /** Channels at this place. */
    public int width(ModelConfig config) {
        return switch (this) {
            case ATTENTION_INPUT, MLP_INPUT -> config.hiddenSize();
            case QUERY, ATTENTION_OUTPUT -> config.nHeads() * config.headDim();
            case KEY, VALUE -> config.nKvHeads() * config.headDim();
            case MLP_GATED -> config.ffnSize();
        };
    }

    /** The name in files. */
    String fileName() {
        return name().toLowerCase(Locale.ROOT);
    }
}
