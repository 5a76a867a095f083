/** The CUDA compiler of the build. Not used at run time. */
package io.fireq.kernels.jit;
