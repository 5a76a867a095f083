package io.fireq.engine.quant.calibration;

import io.fireq.engine.model.ModelConfig;
import io.fireq.engine.tensor.Chunks;
import java.util.EnumMap;
import java.util.Map;

/** Magnitudes of the channels of one decoder layer over the tokens that were watched. */
public final class Observation {
    private static final int CHANNELS = 128;

    private final Map<Place, float[]> largest = new EnumMap<>(Place.class);
    private final Map<Place, double[]> squares = new EnumMap<>(Place.class);
    private final float[] largestKeyPair;
    private boolean countsSquares = true;
    private long tokens;

    Observation(ModelConfig config) {
        for (Place place : Place.values()) {
            largest.put(place, new float[place.width(config)]);
            squares.put(place, new double[place.width(config)]);
        }
        largestKeyPair = new float[Place.KEY.width(config)];
    }

    /** Tokens watched. */
    public long tokens() {
        return tokens;
    }

    /** Largest magnitude of each channel. */
    public float[] largest(Place place) {
        return largest.get(place).clone();
    }

    /** Root mean square of each channel; zeros where it was left out. */
    public double[] rms(Place place) {
        double[] rms = squares.get(place).clone();
        for (int c = 0; c < rms.length; c++) {
            rms[c] = Math.sqrt(rms[c] / Math.max(1, tokens));
        }
        return rms;
    }

    /**
     * {@code [nKvHeads, headDim]}: the largest length of each rotated pair of K channels, which rotation does not change;
     * both channels of a pair have the same.
     */
    public float[] largestKeyPair() {
        return largestKeyPair.clone();
    }

    void addTokens(int count) {
        tokens += count;
    }

    /** Leaves root mean squares out. */
    void largestOnly() {
        countsSquares = false;
    }

    /** Adds {@code [nTokens, stride]} from {@code offset} on; values that are not finite are no magnitudes. */
    void add(Place place, float[] values, int offset, int stride, int nTokens) {
        float[] max = largest.get(place);
        double[] sums = squares.get(place);
        Chunks.forEach(max.length, CHANNELS, (begin, end) -> { // a channel's sum is in the order of the tokens
            for (int t = 0; t < nTokens; t++) {
                addLargest(values, offset + t * stride, begin, end, max);
                if (countsSquares) {
                    addSquares(values, offset + t * stride, begin, end, sums);
                }
            }
        });
    }

    private static void addLargest(float[] values, int at, int begin, int end, float[] max) {
        for (int c = begin; c < end; c++) {
            float magnitude = Math.abs(values[at + c]);
            max[c] = magnitude <= Float.MAX_VALUE ? Math.max(max[c], magnitude) : max[c];
        }
    }

    private static void addSquares(float[] values, int at, int begin, int end, double[] sums) {
        for (int c = begin; c < end; c++) {
            float value = values[at + c];
            if (Float.isFinite(value)) {
                sums[c] += (double) value * value;
            }
        }
    }

    void addKeyPair(int channel, int partner, float length) {
        if (Float.isFinite(length)) {
            float max = Math.max(largestKeyPair[channel], length);
            largestKeyPair[channel] = max;
            largestKeyPair[partner] = max;
        }
    }
}
