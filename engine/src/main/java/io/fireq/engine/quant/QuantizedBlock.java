package io.fireq.engine.quant;

import io.fireq.engine.quant.calibration.SmoothingMagnitudes;
import io.fireq.engine.tensor.HostTensor;
import io.fireq.engine.tensor.WeightMatrix;
import io.fireq.engine.weights.v1.TensorReport;
import java.util.List;

/**
 * What becomes of one decoder layer.
 *
 * @param matrices   its linear layers, under their names in the checkpoint
 * @param tensors    norms and what else it has, under their full names
 * @param reports    a row of the error table for each matrix, in their order
 * @param magnitudes what flowed through it; empty where nothing was measured
 */
record QuantizedBlock(List<WeightMatrix> matrices, List<HostTensor> tensors, List<TensorReport> reports,
        SmoothingMagnitudes magnitudes) {}
