package io.fireq.engine.quant;

/**
 * The constants of profile {@link Profile#PAPER}, as published for Llama-3-8B. A scale of 0 leaves its scaling out.
 *
 * @param attentionInput scale of the columns of query, key and value over their mean magnitude
 * @param upGate         Λ2, scale of the columns of up and gate over their mean magnitude
 * @param down           Λ3, scale of the columns of down over their mean magnitude
 * @param output         scale of the columns of output over their mean magnitude, per channel
 * @param value          Λ1, factor of value; output is divided by it
 * @param alpha          N brings the largest length of a rotated pair of K channels to this
 * @param beta           S brings the largest magnitude of the chosen channels to this
 * @param topK           channels of each head that S is for, and their rotary partners
 * @param bf16Scales     the σ_BF16 variant: group scales are bfloat16, and what they make of the codes is rounded to e4m3
 *                       with one scale per output channel; such weights are stored as e4m3
 */
public record PaperConstants(double attentionInput, double upGate, double down, double output, double value,
        double alpha, double beta, int topK, boolean bf16Scales) {

    /** As published. */
    public static final PaperConstants DEFAULT = new PaperConstants(0, 0.0096, 0.015, 0, 0.9, 8, 8, 8, false);

    public PaperConstants {
        requireScale("the scale of the attention input", attentionInput);
        requireScale("the scale of up and gate", upGate);
        requireScale("the scale of down", down);
        requireScale("the scale of output", output);
        requireScale("alpha", alpha);
        requireScale("beta", beta);
        if (!(value > 0 && value < Double.POSITIVE_INFINITY) || topK < 0) {
            throw new IllegalArgumentException(
                    "Paper constants: the factor of value is %s and top-k %d; required are a factor above 0 and 0 or more"
                            .formatted(value, topK));
        }
    }

    private static void requireScale(String name, double value) {
        if (!(value >= 0 && value < Double.POSITIVE_INFINITY)) {
            throw new IllegalArgumentException("Paper constants: %s is %s; it must be 0 or more".formatted(name, value));
        }
    }
}
