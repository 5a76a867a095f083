package io.fireq.engine.inspect;

import io.fireq.engine.backend.cpu.ObservedCpuBackend.Site;
import java.util.Arrays;

/**
 * The largest magnitude that each channel takes at one place of a model, over some text. No unit: activations are plain
 * numbers.
 *
 * @param layer  index of the decoder layer, from 0
 * @param site   where in the layer
 * @param before {@code [channels]} of the unquantized model; empty where that was not looked at
 * @param after  {@code [channels]} of the quantized model, smoothing included; empty where that was not looked at
 */
public record ChannelMagnitudes(int layer, Site site, float[] before, float[] after) {

    public ChannelMagnitudes {
        if (before.length != after.length && before.length > 0 && after.length > 0) {
            throw new IllegalArgumentException(("Channel magnitudes of layer %d, %s: %d channels before and %d after; "
                    + "both must come from the same architecture").formatted(layer, site, before.length, after.length));
        }
        before = before.clone();
        after = after.clone();
    }

    public int channels() {
        return Math.max(before.length, after.length);
    }

    /** The channel with the largest value, -1 where there is none. */
    public static int peak(float[] values) {
        int peak = -1;
        for (int channel = 0; channel < values.length; channel++) {
            peak = peak < 0 || values[channel] > values[peak] ? channel : peak;
        }
        return peak;
    }

    /** How far the largest channel stands out: its value over the median channel's; 1 and more. */
    public static double peakToMedian(float[] values) {
        float[] sorted = values.clone();
        Arrays.sort(sorted);
        return sorted[sorted.length - 1] / (double) sorted[sorted.length / 2];
    }
}
