/**
 * Import of checkpoints that another method has quantized to 4 bits: GPTQ, AWQ, compressed-tensors. A {@code SourceLayout}
 * reads a layer into {@code GroupedInt4}, {@code ScaleFit} puts that into FireQ's format with its codes kept, and
 * {@code CheckpointImporter} writes the checkpoint. {@code docs/importing.md} says what is exact.
 */
package io.fireq.engine.quant.imports;
