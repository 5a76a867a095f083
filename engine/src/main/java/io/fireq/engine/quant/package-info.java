/**
 * The offline quantizer: {@link io.fireq.engine.quant.OfflineQuantizer} turns a Hugging Face checkpoint into a FireQ
 * checkpoint, a decoder layer at a time. Nothing that serves depends on it.
 */
package io.fireq.engine.quant;
