package io.fireq.engine.backend.cpu;

/**
 * The quantized rows that go into a linear layer.
 *
 * @param values    {@code [m, k]}
 * @param int4Order {@code [m, k]} the same in {@link CpuKernels#int4Order}
 * @param e4m3Order {@code [m, k]} the same in {@link CpuKernels#e4m3Order}
 * @param scales    {@code [m]} one per token
 * @param m         tokens
 */
record LinearInput(float[] values, float[] int4Order, float[] e4m3Order, float[] scales, int m) {}
