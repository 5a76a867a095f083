/** How long kernels take on the device. */
package io.fireq.kernels.bench;
