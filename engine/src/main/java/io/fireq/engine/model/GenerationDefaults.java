package io.fireq.engine.model;

import io.fireq.engine.api.ModelFormatException;
import io.fireq.engine.api.SamplingParams;
import io.fireq.engine.json.Json;
import io.fireq.engine.json.JsonLimits;
import io.fireq.engine.json.JsonObject;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * What the makers of a model recommend, from generation_config.json.
 *
 * @param sampling empty when the file says nothing about it
 * @param eosIds   tokens that end a text; empty when the file names none and config.json decides
 */
public record GenerationDefaults(Optional<SamplingParams> sampling, int[] eosIds) {
    private static final String FILE = "generation_config.json";
    private static final List<String> SAMPLING_KEYS =
            List.of("temperature", "top_k", "top_p", "min_p", "repetition_penalty");

    public GenerationDefaults {
        eosIds = eosIds.clone();
    }

    /**
     * Reads generation_config.json of a model directory; a directory without one recommends nothing.
     *
     * @throws ModelFormatException when a value is malformed or out of range
     */
    public static GenerationDefaults read(Path directory) {
        Path file = directory.resolve(FILE);
        if (!Files.isRegularFile(file)) {
            return new GenerationDefaults(Optional.empty(), new int[0]);
        }
        JsonObject json = Json.readObject(file, JsonLimits.CONFIG);
        return new GenerationDefaults(sampling(json), json.ints("eos_token_id", 0, Integer.MAX_VALUE));
    }

    private static Optional<SamplingParams> sampling(JsonObject json) {
        boolean anyKey = SAMPLING_KEYS.stream().anyMatch(json::has);
        if (!anyKey && !json.has("do_sample")) {
            return Optional.empty();
        }
        // A file with a temperature but no do_sample means to sample, whatever the library's default is.
        boolean sample = json.booleanOr("do_sample", anyKey);
        float temperature = sample ? (float) json.doubleOr("temperature", 1, 0, 1000) : 0;
        float topP = (float) json.doubleOr("top_p", 1, Float.MIN_NORMAL, 1);
        float minP = (float) json.doubleOr("min_p", 0, 0, Math.nextDown(1f));
        float repetitionPenalty = (float) json.doubleOr("repetition_penalty", 1, 1e-3, 1000);
        int topK = Math.max(0, json.intOr("top_k", 0, -1, Integer.MAX_VALUE)); // some files write -1 for all
        return Optional.of(sample
                ? new SamplingParams(temperature, topK, topP, minP, repetitionPenalty, 0, 0, OptionalLong.empty())
                : new SamplingParams(0, 0, 1, 0, repetitionPenalty, 0, 0, OptionalLong.empty()));
    }

    @Override
    public int[] eosIds() {
        return eosIds.clone();
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof GenerationDefaults d && sampling.equals(d.sampling) && Arrays.equals(eosIds, d.eosIds);
    }

    @Override
    public int hashCode() {
        return 31 * sampling.hashCode() + Arrays.hashCode(eosIds);
    }
}
