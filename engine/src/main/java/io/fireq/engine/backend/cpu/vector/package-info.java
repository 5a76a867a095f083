/** The Vector API twins of the plain CPU kernels; loaded by name, and only where {@code jdk.incubator.vector} is present. */
package io.fireq.engine.backend.cpu.vector;
