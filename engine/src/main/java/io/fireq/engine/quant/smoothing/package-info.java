/** Transformations of a decoder layer that leave what it computes as it is and make its weights easier to round. */
package io.fireq.engine.quant.smoothing;
