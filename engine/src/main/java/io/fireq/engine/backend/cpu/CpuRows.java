package io.fireq.engine.backend.cpu;

import io.fireq.engine.backend.Backend;

/**
 * Activations as floats whose values are bfloat16 numbers.
 *
 * @param values {@code [capacity, width]}
 */
record CpuRows(int capacity, int width, float[] values) implements Backend.Rows {

    static CpuRows allocate(int capacity, int width) {
        return new CpuRows(capacity, width, new float[Math.multiplyExact(capacity, width)]);
    }
}
