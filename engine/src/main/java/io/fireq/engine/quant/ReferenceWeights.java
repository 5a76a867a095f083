package io.fireq.engine.quant;

import io.fireq.engine.quant.calibration.BlockRunner;
import io.fireq.engine.quant.smoothing.BlockWeights;
import io.fireq.engine.tensor.FloatMatrix;
import io.fireq.engine.tensor.HostTensor;
import java.util.List;

/** Puts a decoder layer in float32 on a runner. */
final class ReferenceWeights {
    private ReferenceWeights() {}

    static void load(BlockRunner runner, BlockWeights weights) {
        int hiddenSize = weights.config().hiddenSize();
        runner.inputNorm(weights.inputNorm());
        runner.qkv(List.of(matrix(weights.query(), hiddenSize), matrix(weights.key(), hiddenSize),
                matrix(weights.value(), hiddenSize)), weights.smoothsKeys() ? weights.keySmooth() : null);
        runner.output(matrix(weights.output(), weights.config().nHeads() * weights.config().headDim()));
        runner.postNorm(weights.postNorm());
        runner.gateUp(List.of(matrix(weights.gate(), hiddenSize), matrix(weights.up(), hiddenSize)));
        runner.down(matrix(weights.down(), weights.config().ffnSize()));
    }

    private static FloatMatrix matrix(float[] weights, int k) {
        return new FloatMatrix(HostTensor.ofFloats("reference", List.of(weights.length / k, k), weights));
    }
}
