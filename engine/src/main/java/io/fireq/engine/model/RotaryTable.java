package io.fireq.engine.model;

/**
 * Cosines and sines of rotary position embedding. Channel i of a head is rotated with channel i + headDim/2 by
 * {@code position · inverseFrequencies[i]}.
 *
 * @param cos {@code [maxPosition, headDim/2]}
 * @param sin {@code [maxPosition, headDim/2]}
 */
public record RotaryTable(float[] cos, float[] sin) {

    /**
     * Angles are formed in float32, as Hugging Face transformers forms them, so that long positions agree with it.
     *
     * @param inverseFrequencies {@code [headDim/2]} radians per position
     * @param maxPosition        positions 0 .. maxPosition-1
     */
    public static RotaryTable of(float[] inverseFrequencies, int maxPosition) {
        int half = inverseFrequencies.length;
        float[] cos = new float[Math.multiplyExact(maxPosition, half)];
        float[] sin = new float[cos.length];
        for (int position = 0; position < maxPosition; position++) {
            for (int i = 0; i < half; i++) {
                float angle = position * inverseFrequencies[i];
                cos[position * half + i] = (float) Math.cos(angle);
                sin[position * half + i] = (float) Math.sin(angle);
            }
        }
        return new RotaryTable(cos, sin);
    }
}
