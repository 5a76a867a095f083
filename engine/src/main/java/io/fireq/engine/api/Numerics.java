package io.fireq.engine.api;

/** The arithmetic a model is run with. */
public enum Numerics {
    /** INT4 weights, e4m3 activations, INT4 KV cache: see {@code docs/numerics.md}. */
    QUANTIZED,
    /** float32 throughout, on the unquantized weights of a Hugging Face checkpoint; for reference. */
    FLOAT32
}
