package io.fireq.engine.quant;

import io.fireq.engine.weights.v1.QuantizationInfo.KvCache;

/** Which method turns a model into a FireQ checkpoint. All write the same format. */
public enum Profile {
    /** The paper's: plain rounding with one power-of-two multiplier per tensor, symmetric KV cache. */
    PAPER(new PaperRounding(), KvCache.Kind.SYMMETRIC),
    /** Scales searched for least squared error, asymmetric KV cache. */
    BEST(new ClippingSearch(), KvCache.Kind.ASYMMETRIC);

    private final WeightQuantizer weightQuantizer;
    private final KvCache.Kind kvKind;

    Profile(WeightQuantizer weightQuantizer, KvCache.Kind kvKind) {
        this.weightQuantizer = weightQuantizer;
        this.kvKind = kvKind;
    }

    WeightQuantizer weightQuantizer() {
        return weightQuantizer;
    }

    KvCache.Kind kvKind() {
        return kvKind;
    }
}
