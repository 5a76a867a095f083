package io.fireq.engine.backend.cpu;

import io.fireq.engine.backend.Backend;
import io.fireq.engine.backend.BackendChecks;

/**
 * Activations as floats whose values are e4m3 numbers, {@code real = scale · value}.
 *
 * @param values {@code [capacity, width]}
 * @param scales {@code [capacity, groups]}
 */
record CpuQuantizedRows(int capacity, int width, int groups, float[] values, float[] scales)
        implements Backend.QuantizedRows {

    static CpuQuantizedRows allocate(int capacity, int width, int groups) {
        BackendChecks.groups(width, groups);
        return new CpuQuantizedRows(capacity, width, groups, new float[Math.multiplyExact(capacity, width)],
                new float[Math.multiplyExact(capacity, groups)]);
    }
}
