/**
 * The CUDA driver, typed and checked. {@link io.fireq.kernels.cuda.CudaProbe} says whether and why not; everything else
 * starts from a {@link io.fireq.kernels.cuda.CudaContext}.
 *
 * <p>Threads: a context and what belongs to it are used by one thread at a time, after {@code makeCurrent} on it.
 */
package io.fireq.kernels.cuda;
