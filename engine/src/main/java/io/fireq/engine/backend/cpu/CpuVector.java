package io.fireq.engine.backend.cpu;

import io.fireq.engine.backend.Backend;

/** A float vector, such as the weight of a norm. */
record CpuVector(float[] values) implements Backend.Vector {
    @Override
    public int size() {
        return values.length;
    }
}
