package io.fireq.engine.backend.cuda;

import io.fireq.engine.backend.AttentionSpec;
import io.fireq.engine.backend.Backend;
import io.fireq.kernels.cuda.DeviceBuffer;

/**
 * One layer's attention constants on the device. The rotary table is the layers' common one.
 *
 * @param cos     {@code [maxPosition, headDim/2]} f32
 * @param sin     {@code [maxPosition, headDim/2]} f32
 * @param kSmooth {@code [nKvHeads, headDim]} f32, or null
 */
record CudaAttention(AttentionSpec spec, DeviceBuffer cos, DeviceBuffer sin, DeviceBuffer kSmooth)
        implements Backend.Attention {}
