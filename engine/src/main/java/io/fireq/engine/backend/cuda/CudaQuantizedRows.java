package io.fireq.engine.backend.cuda;

import io.fireq.engine.backend.Backend;
import io.fireq.kernels.cuda.DeviceBuffer;

/**
 * e4m3 activations on the device, {@code real = scale · code}.
 *
 * @param codes  {@code [capacity, width]} e4m3
 * @param scales {@code [capacity, groups]} f32
 */
record CudaQuantizedRows(int capacity, int width, int groups, DeviceBuffer codes, DeviceBuffer scales)
        implements Backend.QuantizedRows {}
