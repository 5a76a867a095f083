package io.fireq.engine.quant;

import java.util.Collections;
import java.util.EnumSet;
import java.util.Set;

/** Parts of the profile {@link Profile#BEST} that can be left out, or added, one by one. */
public enum Part {
    /** Channels are first divided by powers of two, so that scalings by such are forgotten. */
    POWER_OF_TWO_SCALES,
    /** Activation-aware scales of the channels at every input of a linear layer, their exponent searched. */
    CHANNEL_SCALES,
    /** All channels of K and Q are balanced after the rotation, at run time. */
    KEY_SCALES,
    /** A Hadamard transform of K and Q after that, at run time. */
    KEY_HADAMARD,
    /** A Hadamard transform of V, folded into the weights. */
    VALUE_HADAMARD,
    /** A rotation of the residual stream, folded into the weights. Off by default: it does not pay. */
    RESIDUAL_ROTATION,
    /** INT4 levels spaced as normally distributed weights need them, where that is better than evenly. */
    NORMAL_LEVELS,
    /** Each column's rounding error is made good in the columns behind it. */
    GPTQ,
    /** GPTQ takes the columns with the largest activations first. Off by default: it does not pay. */
    ACTIVATION_ORDER,
    /** After that, codes and row scales are improved in turn until little changes. */
    REFINEMENT,
    /** Layers aim at the unquantized model's outputs, not at their own on disturbed inputs. */
    CORRECTION;

    /** All but the two that do not pay. */
    public static final Set<Part> DEFAULT = Collections.unmodifiableSet(
            EnumSet.complementOf(EnumSet.of(RESIDUAL_ROTATION, ACTIVATION_ORDER)));
}
