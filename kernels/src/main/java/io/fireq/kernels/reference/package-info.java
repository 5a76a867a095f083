/** A decoder layer in plain float32, to calibrate against. Not on the serving path. */
package io.fireq.kernels.reference;
