package io.fireq.engine.backend.cuda;

import io.fireq.engine.backend.Backend;
import io.fireq.kernels.cuda.DeviceBuffer;

/**
 * bf16 activations on the device.
 *
 * @param values {@code [capacity, width]} bf16
 */
record CudaRows(int capacity, int width, DeviceBuffer values) implements Backend.Rows {}
