package io.fireq.engine.bench;

import java.util.Locale;

/** The parts of a benchmark. */
public enum Part {
    /** Linear layers alone, by number of tokens. */
    GEMM("linear layers alone"),
    /** Attention alone: prefill, and decode over the quantized cache. */
    ATTENTION("attention alone"),
    /** What happens between them, and the output head with its draw. */
    ROWS("between them"),
    /** Whole prompts up to their first token. */
    PREFILL("prefill to the first token"),
    /** Steps of one token per sequence. */
    DECODE("decode step");

    private final String title;

    Part(String title) {
        this.title = title;
    }

    /** In words. */
    public String title() {
        return title;
    }

    /** Whether it times single operations on the device's clock. */
    public boolean isKernels() {
        return this == GEMM || this == ATTENTION || this == ROWS;
    }

    /** As on the command line and in JSON. */
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT);
    }
}
