package io.fireq.kernels.gemm;

/**
 * How a problem is launched.
 *
 * @param config the kernel
 * @param ctas   grid size
 * @param micros estimated time, for comparison only
 */
record GemmPlan(GemmConfig config, int ctas, double micros) {}
