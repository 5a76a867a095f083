package io.fireq.engine.backend;

/**
 * Shape and constants of one layer's attention.
 *
 * @param layer         index of the layer, from 0
 * @param nHeads        query heads
 * @param nKvHeads      K/V heads; a divisor of nHeads, query head h uses K/V head {@code h / (nHeads / nKvHeads)}
 * @param headDim       values per head
 * @param cos           {@code [maxPosition, headDim/2]} cosines of the rotary angles; channel i is rotated with
 *                      i + headDim/2
 * @param sin           {@code [maxPosition, headDim/2]} sines
 * @param kSmooth       {@code [nKvHeads, headDim]} or null: K is multiplied by it after rotation and Q divided by it
 *                      (FireQ's post-RoPE scaling S, section 4)
 * @param hadamardBlock channels that an orthonormal Hadamard transform mixes, in Q and in K alike, after the smoothing
 *                      and before they are quantized; 0 for none, else a power of two that divides headDim
 */
public record AttentionSpec(int layer, int nHeads, int nKvHeads, int headDim, float[] cos, float[] sin,
        float[] kSmooth, int hadamardBlock) {}
