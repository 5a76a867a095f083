package io.fireq.engine.model;

import io.fireq.engine.backend.Backend;

/**
 * The activations of one step, shared by all layers. All are {@code [maxTokens, width]}.
 *
 * @param hidden            the residual stream, {@code [.., hiddenSize]}
 * @param normed            input of qkv and of gate_up, {@code [.., hiddenSize]}
 * @param qkv               {@code [.., (nHeads + 2 nKvHeads) · headDim]}
 * @param query             one scale per head, {@code [.., nHeads · headDim]}
 * @param attended          {@code [.., nHeads · headDim]}
 * @param attendedQuantized the same, quantized
 * @param gated             {@code silu(gate) · up}, {@code [.., ffnSize]}
 * @param gatedQuantized    the same, quantized
 */
public record Activations(Backend.Rows hidden, Backend.QuantizedRows normed, Backend.Rows qkv,
        Backend.QuantizedRows query, Backend.Rows attended, Backend.QuantizedRows attendedQuantized, Backend.Rows gated,
        Backend.QuantizedRows gatedQuantized) {

    /** Allocates those of a model's layers for steps of up to {@code maxTokens} tokens. */
    public static Activations of(ModelConfig config, int maxTokens, Backend backend) {
        int qSize = config.nHeads() * config.headDim();
        int kvSize = config.nKvHeads() * config.headDim();
        return new Activations(backend.rows(maxTokens, config.hiddenSize()),
                backend.quantizedRows(maxTokens, config.hiddenSize(), 1),
                backend.rows(maxTokens, qSize + 2 * kvSize),
                backend.quantizedRows(maxTokens, qSize, config.nHeads()),
                backend.rows(maxTokens, qSize),
                backend.quantizedRows(maxTokens, qSize, 1),
                backend.rows(maxTokens, config.ffnSize()),
                backend.quantizedRows(maxTokens, config.ffnSize(), 1));
    }
}
