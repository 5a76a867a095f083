package io.fireq.engine.quant;

import io.fireq.engine.model.ModelConfig;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;

/**
 * What the model reads while it is quantized.
 *
 * @param text    where it is from
 * @param windows token ids; none if nothing is watched
 */
record Calibration(String text, List<int[]> windows) {
    static final Calibration NONE = new Calibration("none", List.of());

    static boolean isNeeded(QuantizerOptions options, ModelConfig config) {
        return switch (options.profile()) {
            case PAPER -> new PaperSmoothing(options.paper(), config).needsObservation();
            case BEST -> options.has(Part.CHANNEL_SCALES) || options.has(Part.KEY_SCALES) || options.has(Part.GPTQ)
                    || options.has(Part.REFINEMENT) || options.has(Part.CORRECTION);
        };
    }

    /** For the checkpoint's record. */
    Map<String, Object> facts(QuantizerOptions options, String kernels) {
        Map<String, Object> facts = new LinkedHashMap<>();
        facts.put("text", text);
        facts.put("windows", windows.size());
        facts.put("tokens", windows.stream().mapToLong(window -> window.length).sum());
        facts.put("seed", options.calibration().seed());
        facts.put("kernels", kernels);
        if (options.profile() == Profile.BEST) {
            facts.put("parts", options.parts().stream().map(part -> part.name().toLowerCase(Locale.ROOT)).toList());
            facts.put("damping", options.damping());
        } else {
            PaperConstants paper = options.paper();
            facts.put("attention_input", paper.attentionInput());
            facts.put("up_gate", paper.upGate());
            facts.put("down", paper.down());
            facts.put("output", paper.output());
            facts.put("value", paper.value());
            facts.put("alpha", paper.alpha());
            facts.put("beta", paper.beta());
            facts.put("top_k", paper.topK());
            facts.put("group_scales", paper.bf16Scales() ? "bf16" : "e4m3");
        }
        return facts;
    }
}
