package io.fireq.engine.model;

import io.fireq.engine.backend.Backend;

/** The activations of one step, shared by all layers. All are {@code [maxBatchTokens, width]}. */
final class Activations {
    /** The residual stream, {@code [.., hiddenSize]}. */
    final Backend.Rows hidden;
    /** Input of qkv and of gate_up, {@code [.., hiddenSize]}. */
    final Backend.QuantizedRows normed;
    /** {@code [.., (nHeads + 2 nKvHeads) · headDim]}. */
    final Backend.Rows qkv;
    /** One scale per head, {@code [.., nHeads · headDim]}. */
    final Backend.QuantizedRows query;
    /** {@code [.., nHeads · headDim]}. */
    final Backend.Rows attended;
    final Backend.QuantizedRows attendedQuantized;
    /** {@code silu(gate) · up}, {@code [.., ffnSize]}. */
    final Backend.Rows gated;
    final Backend.QuantizedRows gatedQuantized;

    Activations(ModelConfig config, int maxBatchTokens, Backend backend) {
        int qSize = config.nHeads() * config.headDim();
        int kvSize = config.nKvHeads() * config.headDim();
        hidden = backend.rows(maxBatchTokens, config.hiddenSize());
        normed = backend.quantizedRows(maxBatchTokens, config.hiddenSize(), 1);
        qkv = backend.rows(maxBatchTokens, qSize + 2 * kvSize);
        query = backend.quantizedRows(maxBatchTokens, qSize, config.nHeads());
        attended = backend.rows(maxBatchTokens, qSize);
        attendedQuantized = backend.quantizedRows(maxBatchTokens, qSize, 1);
        gated = backend.rows(maxBatchTokens, config.ffnSize());
        gatedQuantized = backend.quantizedRows(maxBatchTokens, config.ffnSize(), 1);
    }
}
