package io.fireq.engine.weights.v1;

import java.util.Collections;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.TreeMap;

/**
 * What quantization did to one linear layer.
 *
 * @param name      the layer, such as {@code model.layers.0.self_attn.q_proj}
 * @param format    {@code int4}, {@code e4m3} or the name of a float format
 * @param groupSize columns that share a scale; 0 where none do
 * @param measures  numbers about the error by name, among them {@link #SQNR_DB}; those that are not finite are dropped,
 *                  because JSON has no word for them
 */
public record TensorReport(String name, String format, int groupSize, Map<String, Double> measures) {
    /** Signal to quantization noise, in decibels; absent where there is no noise. */
    public static final String SQNR_DB = "sqnr_db";

    public TensorReport {
        Map<String, Double> finite = new TreeMap<>(measures);
        finite.values().removeIf(value -> !Double.isFinite(value));
        measures = Collections.unmodifiableMap(finite);
    }

    public OptionalDouble sqnrDb() {
        Double value = measures.get(SQNR_DB);
        return value == null ? OptionalDouble.empty() : OptionalDouble.of(value);
    }
}
