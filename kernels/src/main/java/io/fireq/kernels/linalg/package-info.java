/** Float32 matrix work of the quantizer: products, factorizations, rounding passes. Not on the serving path. */
package io.fireq.kernels.linalg;
