package io.fireq.engine.quant;

/** Names of the numbers in an error table, beside {@link io.fireq.engine.weights.v1.TensorReport#SQNR_DB}. */
public final class Measures {
    /** Signal to noise of the layer's outputs in dB, over the calibration tokens. */
    public static final String OUTPUT_SQNR_DB = "output_sqnr_db";
    /** Signal to noise in dB that plain rounding, without calibration, would leave of the weights as they came. */
    public static final String PLAIN_BEFORE_DB = "plain_sqnr_before_smoothing_db";
    /** The same of the smoothed weights. */
    public static final String PLAIN_AFTER_DB = "plain_sqnr_after_smoothing_db";
    /** Share of the weights beyond the largest code of their group. */
    public static final String CLIP_SHARE = "clip_share";
    /** 1 where codes stand for {@link CodeTable#NORMAL}, 0 for {@link CodeTable#INTEGERS}. */
    public static final String NORMAL_LEVELS = "normal_levels";
    /** Share of the activations in the scales of the layer's input channels. */
    public static final String CHANNEL_SCALE_EXPONENT = "channel_scale_exponent";
    /** Share of Q in the scales of the rotated K channels; in the row of the key layer. */
    public static final String KEY_SCALE_EXPONENT = "key_scale_exponent";
    /** The correction's pull towards the original weights; absent where they were kept. */
    public static final String CORRECTION_PULL = "correction_pull";
    /** Squared error of the residual stream relative to its square, behind the decoder layer; in its last row. */
    public static final String RESIDUAL_ERROR = "residual_error";
    /** Profile {@code paper}: the tensor's power of two. */
    public static final String MULTIPLIER = "multiplier";

    private Measures() {}
}
