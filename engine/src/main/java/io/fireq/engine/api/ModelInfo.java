package io.fireq.engine.api;

import java.util.Optional;

/**
 * Facts about the loaded model.
 *
 * @param name            the model's name: its directory's, unless set otherwise
 * @param maxModelLen     most tokens of prompt and answer together
 * @param vocabSize       token ids are below this
 * @param nLayers         decoder layers
 * @param hiddenSize      width of the residual stream
 * @param weightBytes     bytes of weights in memory or mapped
 * @param quantization    one line: formats and profile, or "float32"
 * @param defaultSampling what the model's generation_config.json recommends
 */
public record ModelInfo(String name, int maxModelLen, int vocabSize, int nLayers, int hiddenSize, long weightBytes,
        String quantization, Optional<SamplingParams> defaultSampling) {}
