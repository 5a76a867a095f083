/** Linear layers: INT4 or e4m3 weights, e4m3 activations. */
package io.fireq.kernels.gemm;
