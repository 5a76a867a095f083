package io.fireq.engine.backend.cuda;

import io.fireq.engine.backend.Backend;
import io.fireq.kernels.cuda.DeviceBuffer;

/**
 * A float vector on the device.
 *
 * @param values {@code [size]} f32
 */
record CudaVector(int size, DeviceBuffer values) implements Backend.Vector {}
