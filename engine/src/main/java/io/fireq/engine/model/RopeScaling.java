package io.fireq.engine.model;

/** How the frequencies of the rotary embedding are stretched to reach a longer context than a model was trained on. */
public sealed interface RopeScaling {

    /** The scaled frequency of one channel pair, in radians per position. */
    double scale(double frequency);

    /** Unscaled. */
    record None() implements RopeScaling {
        @Override
        public double scale(double frequency) {
            return frequency;
        }
    }

    /** Positions are divided by {@code factor}. */
    record Linear(double factor) implements RopeScaling {
        @Override
        public double scale(double frequency) {
            return frequency / factor;
        }
    }

    /**
     * Llama 3.1's rule: wavelengths short against the original context stay, long ones are stretched by {@code factor},
     * those between are mixed.
     *
     * @param lowFreqFactor        wavelengths above {@code originalMaxPositions / lowFreqFactor} are stretched
     * @param highFreqFactor       wavelengths below {@code originalMaxPositions / highFreqFactor} stay
     * @param originalMaxPositions tokens of context in training
     */
    record Llama3(double factor, double lowFreqFactor, double highFreqFactor, int originalMaxPositions)
            implements RopeScaling {
        @Override
        public double scale(double frequency) {
            double turns = originalMaxPositions * frequency / (2 * Math.PI); // in the original context
            double unscaled = (turns - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
            double share = Math.max(0, Math.min(1, unscaled));
            return share * frequency + (1 - share) * frequency / factor;
        }
    }
}
