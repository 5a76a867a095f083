/** What a calibration reads and watches: its text, and the activations that flow through one decoder layer. */
package io.fireq.engine.quant.calibration;
