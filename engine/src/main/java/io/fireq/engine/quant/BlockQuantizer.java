package io.fireq.engine.quant;

import io.fireq.engine.quant.smoothing.BlockWeights;

/** The method of a profile. Layers come in their order; the calibration windows advance with them. */
interface BlockQuantizer {

    /** @param weights of the layer as they came; not changed */
    QuantizedBlock quantize(int layer, BlockWeights weights);
}
