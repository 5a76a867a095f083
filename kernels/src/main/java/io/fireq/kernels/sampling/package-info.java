/** From logits to tokens on the device. */
package io.fireq.kernels.sampling;
