package io.fireq.engine.weights.v1;

import io.fireq.engine.api.ModelFormatException;
import io.fireq.engine.api.UnsupportedModelException;
import io.fireq.engine.json.JsonObject;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.stream.Collectors;

/**
 * The entry {@code quantization_config} that a FireQ checkpoint adds to config.json:
 *
 * <pre>{@code
 *   { "quant_method": "fireq", "format_version": 1, "profile": "best", "group_size": 128,
 *     "kv_cache": { "kind": "asymmetric", "group_size": 64, "hadamard_block": 64 },
 *     "calibration": { free-form },
 *     "tensors": [ { "name": "model.layers.0.self_attn.q_proj", "format": "int4", "group_size": 128,
 *                    "sqnr_db": 19.6, further numbers }, … ],
 *     "files": { "model.safetensors": "SHA-256 in hex", … } }
 * }</pre>
 *
 * @param profile     the quantizer's profile
 * @param groupSize   columns that share a scale, where a tensor does not say otherwise
 * @param kvCache     the KV cache format that the weights were calibrated for
 * @param calibration free-form facts: strings, numbers, booleans, lists and maps of them
 * @param tensors     the error table
 * @param files       SHA-256 in lower-case hex of each file but config.json, by file name
 */
public record QuantizationInfo(String profile, int groupSize, KvCache kvCache, Map<String, Object> calibration,
        List<TensorReport> tensors, Map<String, String> files) {
    /** The key in config.json. */
    public static final String CONFIG_KEY = "quantization_config";
    /** The value of {@code quant_method}. */
    public static final String METHOD = "fireq";
    /** The version of the format that this package is about. */
    public static final int FORMAT_VERSION = 1;

    private static final String METHOD_KEY = "quant_method";
    private static final int MAX_GROUP_SIZE = 1 << 20;

    /**
     * @param kind          how scale and zero of a group are chosen
     * @param groupSize     channels of a head that share them
     * @param hadamardBlock channels of Q and K that a Hadamard transform mixes before K is stored; 0 for none
     */
    public record KvCache(Kind kind, int groupSize, int hadamardBlock) {
        public enum Kind {
            ASYMMETRIC,
            SYMMETRIC;

            private String jsonName() {
                return name().toLowerCase(Locale.ROOT);
            }
        }
    }

    public QuantizationInfo {
        calibration = Collections.unmodifiableMap(new LinkedHashMap<>(calibration));
        tensors = List.copyOf(tensors);
        files = Collections.unmodifiableMap(new TreeMap<>(files));
    }

    /** The same facts with an error table and checksums. */
    public QuantizationInfo with(List<TensorReport> newTensors, Map<String, String> newFiles) {
        return new QuantizationInfo(profile, groupSize, kvCache, calibration, newTensors, newFiles);
    }

    /**
     * Reads the entry of a config.json.
     *
     * @return empty when the checkpoint is not quantized
     * @throws UnsupportedModelException when it is quantized by another method or a later version
     * @throws ModelFormatException      when the entry is incomplete or wrong
     */
    public static Optional<QuantizationInfo> parse(JsonObject config) {
        Optional<JsonObject> entry = config.object(CONFIG_KEY);
        if (entry.isEmpty()) {
            return Optional.empty();
        }
        JsonObject json = entry.get();
        String method = json.requireString(METHOD_KEY);
        if (!method.equals(METHOD)) {
            throw new UnsupportedModelException(
                    ("%s: the weights are quantized by '%s'; supported here are unquantized checkpoints and '%s'; convert "
                            + "GPTQ, AWQ and compressed-tensors with 'fireq import', or use the original checkpoint")
                            .formatted(config.path(), method, METHOD));
        }
        int version = json.requireInt("format_version", 1, Integer.MAX_VALUE);
        if (version != FORMAT_VERSION) {
            throw new UnsupportedModelException(
                    "%s: the checkpoint has format version %d; supported is %d; use a newer FireQ or quantize again"
                            .formatted(config.path(), version, FORMAT_VERSION));
        }
        return Optional.of(new QuantizationInfo(json.requireString("profile"),
                json.requireInt("group_size", 1, MAX_GROUP_SIZE), parseKvCache(json.requireObject("kv_cache")),
                json.object("calibration").map(JsonObject::toMap).orElse(Map.of()),
                json.objects("tensors").stream().map(QuantizationInfo::parseReport).toList(),
                json.object("files").map(QuantizationInfo::parseFiles).orElse(Map.of())));
    }

    private static KvCache parseKvCache(JsonObject json) {
        String kind = json.requireString("kind");
        KvCache.Kind parsed = Arrays.stream(KvCache.Kind.values()).filter(k -> k.jsonName().equals(kind)).findFirst()
                .orElseThrow(() -> json.malformed("kind", "is \"%s\"; required is one of %s".formatted(kind,
                        Arrays.stream(KvCache.Kind.values()).map(KvCache.Kind::jsonName)
                                .collect(Collectors.joining(", ")))));
        return new KvCache(parsed, json.requireInt("group_size", 1, MAX_GROUP_SIZE),
                json.intOr("hadamard_block", 0, 0, MAX_GROUP_SIZE));
    }

    private static TensorReport parseReport(JsonObject json) {
        Map<String, Double> measures = new TreeMap<>();
        for (String key : json.keys()) {
            if (!List.of("name", "format", "group_size").contains(key)) {
                json.optionalDouble(key).ifPresent(value -> measures.put(key, value));
            }
        }
        return new TensorReport(json.requireString("name"), json.requireString("format"),
                json.intOr("group_size", 0, 0, MAX_GROUP_SIZE), measures);
    }

    private static Map<String, String> parseFiles(JsonObject json) {
        Map<String, String> files = new TreeMap<>();
        for (String file : json.keys()) {
            String sha256 = json.requireString(file);
            if (!sha256.matches("[0-9a-f]{64}")) {
                throw json.malformed(file, "must be a SHA-256 of 64 lower-case hex digits");
            }
            files.put(file, sha256);
        }
        return files;
    }

    /** The entry as maps, lists, strings and numbers, in a fixed order. */
    public Map<String, Object> toMap() {
        Map<String, Object> map = new LinkedHashMap<>();
        map.put(METHOD_KEY, METHOD);
        map.put("format_version", FORMAT_VERSION);
        map.put("profile", profile);
        map.put("group_size", groupSize);
        Map<String, Object> kv = new LinkedHashMap<>();
        kv.put("kind", kvCache.kind().jsonName());
        kv.put("group_size", kvCache.groupSize());
        if (kvCache.hadamardBlock() > 0) {
            kv.put("hadamard_block", kvCache.hadamardBlock());
        }
        map.put("kv_cache", kv);
        map.put("calibration", calibration);
        List<Object> rows = new ArrayList<>();
        for (TensorReport report : tensors) {
            Map<String, Object> row = new LinkedHashMap<>();
            row.put("name", report.name());
            row.put("format", report.format());
            row.put("group_size", report.groupSize());
            row.putAll(report.measures());
            rows.add(row);
        }
        map.put("tensors", rows);
        map.put("files", files);
        return map;
    }
}
