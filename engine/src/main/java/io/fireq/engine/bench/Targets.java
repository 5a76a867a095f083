package io.fireq.engine.bench;

import java.util.Map;
import java.util.OptionalDouble;

/** What this project wants to reach on one H200, as in its design: against baselines, and end to end for one shape. */
final class Targets {
    private static final String SHAPE = "llama3-8b";
    /** Tokens per second. */
    private static final Map<String, Double> PREFILL = Map.of("16x1024", 82e3, "16x4096", 78e3, "1x4096", 76e3,
            "1x1024", 1024 / 13.0e-3);
    private static final Map<String, Double> DECODE = Map.of("1x1024", 600.0, "16x1024", 8e3, "64x1024", 25e3);

    private Targets() {}

    /** How many times as fast as a plain FP8 product of the same shape. */
    static double gemm(int m) {
        return m <= 16 ? 2 : m <= 64 ? 1.5 : m <= 256 ? 1 : m <= 1024 ? 0.9 : 0.95;
    }

    /** How many times as fast as bf16 attention over a cache that is not quantized. */
    static double attention(int promptLen) {
        return promptLen >= 4096 ? 1.35 : 1.15;
    }

    /** Tokens per second of a model's prefill or decode, where there is a target. */
    static OptionalDouble tokensPerSecond(String model, Measurement line) {
        Map<String, Double> targets = line.part() == Part.PREFILL ? PREFILL : DECODE;
        Double target = model.equals(SHAPE) ? targets.get(line.key()) : null;
        return target == null ? OptionalDouble.empty() : OptionalDouble.of(target);
    }
}
