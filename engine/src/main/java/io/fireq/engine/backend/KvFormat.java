package io.fireq.engine.backend;

/**
 * How one head's K or V vector of one token is stored: INT4 codes 0..15 in groups, {@code real = scale · code + zero}.
 *
 * @param kind      how scale and zero are chosen
 * @param groupSize values that share a scale and a zero; a divisor of headDim
 */
public record KvFormat(Kind kind, int groupSize) {

    /** The choices of scale and zero. */
    public enum Kind {
        /** {@code zero = f16(min)}, {@code scale = f16((max - zero) / 15)}: the default. */
        ASYMMETRIC,
        /** {@code scale = e4m3(absmax / 7)}, {@code zero = -8 · scale}: the paper's. */
        SYMMETRIC,
        /** Not quantized: float32, for reference runs. */
        FLOAT32
    }
}
