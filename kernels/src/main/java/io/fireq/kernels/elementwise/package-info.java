/** Operations that touch each value once or twice: embedding, norm, quantization, rotary embedding, SiLU·mul. */
package io.fireq.kernels.elementwise;
