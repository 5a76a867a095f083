package io.fireq.engine.quant;

import io.fireq.engine.quant.calibration.BlockRunner;
import io.fireq.engine.quant.smoothing.BlockWeights;
import java.util.List;

/** Puts a decoder layer in float32 on a runner. */
final class ReferenceWeights {
    private ReferenceWeights() {}

    static void load(BlockRunner runner, BlockWeights weights) {
        runner.inputNorm(weights.inputNorm());
        runner.floatQkv(List.of(weights.query(), weights.key(), weights.value()),
                weights.smoothsKeys() ? weights.keySmooth() : null);
        runner.floatOutput(weights.output());
        runner.postNorm(weights.postNorm());
        runner.floatGateUp(List.of(weights.gate(), weights.up()));
        runner.floatDown(weights.down());
    }
}
