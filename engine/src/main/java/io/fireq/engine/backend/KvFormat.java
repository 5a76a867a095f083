package io.fireq.engine.backend;

/**
 * How one head's K or V vector of one token is stored: INT4 codes 0..15 in groups,
 * {@code real = scale · (code - zero)} with an integer zero, so that {@code code - zero} is exact in e4m3.
 *
 * @param kind      how scale and zero are chosen
 * @param groupSize values that share a scale and a zero; a divisor of headDim
 */
public record KvFormat(Kind kind, int groupSize) {

    /** The choices of scale and zero. */
    public enum Kind {
        /**
         * Over the range from min to max, which includes 0: {@code scale = f16((max - min) / 15.5)} and
         * {@code zero = round(7.5 - (max + min) / (2 · scale))}. The default. That half step of range less than 16 levels
         * would take, shared between both ends, clips the extremes little and makes every other value more exact.
         */
        ASYMMETRIC,
        /** {@code scale = e4m3(absmax / 7)}, {@code zero = 8}: the paper's. */
        SYMMETRIC,
        /** Not quantized: float32, for reference runs. */
        FLOAT32
    }
}
