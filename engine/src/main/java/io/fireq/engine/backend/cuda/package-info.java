/**
 * The model's operations on an NVIDIA GPU of compute capability 9.0. {@link io.fireq.engine.backend.cuda.CudaBackend}
 * checks operands and turns each call into an {@code Operation}; {@code Launchers} chooses the kernel that runs it;
 * {@code StepInputs} carries a batch to the device in one copy; {@code DecodeGraphs} replays decode steps.
 *
 * <p>Only {@link io.fireq.engine.backend.cuda.CudaBackendProvider} may be touched on a host without a GPU.
 */
package io.fireq.engine.backend.cuda;
