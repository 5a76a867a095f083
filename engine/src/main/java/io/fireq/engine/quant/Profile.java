package io.fireq.engine.quant;

import io.fireq.engine.weights.v1.QuantizationInfo.KvCache;
import java.util.Locale;

/** Which method turns a model into a FireQ checkpoint. All write the same format. */
public enum Profile {
    /** The paper's: plain rounding behind mild scalings, symmetric KV cache. */
    PAPER(KvCache.Kind.SYMMETRIC, 10, 2048),
    /** Whatever loses least in the same format: see {@link Part}. Asymmetric KV cache. */
    BEST(KvCache.Kind.ASYMMETRIC, 64, 512);

    private final KvCache.Kind kvKind;
    private final int calibrationWindows;
    private final int calibrationWindowLen;

    Profile(KvCache.Kind kvKind, int calibrationWindows, int calibrationWindowLen) {
        this.kvKind = kvKind;
        this.calibrationWindows = calibrationWindows;
        this.calibrationWindowLen = calibrationWindowLen;
    }

    KvCache.Kind kvKind() {
        return kvKind;
    }

    int calibrationWindows() {
        return calibrationWindows;
    }

    int calibrationWindowLen() {
        return calibrationWindowLen;
    }

    /** The name in a checkpoint. */
    String jsonName() {
        return name().toLowerCase(Locale.ROOT);
    }
}
