/** Checkpoints on disk: safetensors files, Hugging Face directories and FireQ's own quantized ones. */
package io.fireq.engine.weights;
