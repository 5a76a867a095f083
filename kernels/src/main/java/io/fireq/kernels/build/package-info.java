/** The step of the Maven build that turns {@code src/main/cuda} into cubins. */
package io.fireq.kernels.build;
