package io.fireq.cli;

import io.fireq.engine.api.ModelInfo;
import io.fireq.engine.api.SamplingParams;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;
import picocli.CommandLine.Option;

/** How tokens are drawn; what is not given comes from the model's own recommendation. */
final class SamplingArguments {
    @Option(names = {"-t", "--temperature"}, description = "0 takes the most likely token.")
    Float temperature;

    @Option(names = "--top-k", description = "Keep the k most likely tokens; 0 keeps all.")
    Integer topK;

    @Option(names = "--top-p", description = "Keep the most likely tokens up to this probability mass.")
    Float topP;

    @Option(names = "--min-p", description = "Drop tokens less likely than this share of the best.")
    Float minP;

    @Option(names = "--repetition-penalty", description = "Above 1 discourages tokens that were seen.")
    Float repetitionPenalty;

    @Option(names = "--presence-penalty", description = "Subtracted from logits of tokens the answer holds.")
    Float presencePenalty;

    @Option(names = "--frequency-penalty", description = "Subtracted once per occurrence in the answer.")
    Float frequencyPenalty;

    @Option(names = "--seed", description = "Same seed, same answer.")
    Long seed;

    @Option(names = {"-n", "--max-tokens"}, defaultValue = "0",
            description = "Most tokens to generate; 0 fills the context.")
    int maxTokens;

    @Option(names = "--stop", description = "Stop before this text; may be repeated.")
    List<String> stop = new ArrayList<>();

    SamplingParams toParams(ModelInfo model) {
        SamplingParams base = model.defaultSampling().orElse(SamplingParams.GREEDY);
        return new SamplingParams(
                or(temperature, base.temperature()),
                or(topK, base.topK()),
                or(topP, base.topP()),
                or(minP, base.minP()),
                or(repetitionPenalty, base.repetitionPenalty()),
                or(presencePenalty, base.presencePenalty()),
                or(frequencyPenalty, base.frequencyPenalty()),
                seed == null ? base.seed() : OptionalLong.of(seed));
    }

    private static <T> T or(T given, T otherwise) {
        return given == null ? otherwise : given;
    }
}
