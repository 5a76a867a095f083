package io.fireq.engine.bench;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.fireq.engine.model.ModelConfig;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * What other libraries take for the same shapes on the same device, by {@code baselines.py}, which needs Python and torch.
 *
 * @param setting      versions and device, or why there are no baselines
 * @param microsByName by name, see {@link #name}
 */
public record Baselines(String setting, Map<String, Map<String, Double>> microsByName) {
    /** A product in bf16 by cuBLAS. */
    static final String BF16 = "bf16_us";
    /** A product in e4m3 by cuBLASLt. */
    static final String FP8 = "fp8_us";
    /** Attention in bf16 by cuDNN. */
    static final String CUDNN = "cudnn_us";

    private static final String SCRIPT = "baselines.py";
    private static final long PATIENCE_SECONDS = 240;

    /** Shapes with a baseline: linear layers and prefill attention. */
    private static boolean hasBaseline(Measurement line) {
        return line.part() == Part.GEMM || line.part() == Part.ATTENTION && !line.key().startsWith("decode");
    }

    /** How the script calls a line. */
    static String name(Measurement line) {
        return line.part() + " " + line.key();
    }

    /**
     * Runs the script.
     *
     * @param python program that starts Python
     * @param lines  what was measured here
     * @param millis time to spend on each line, about
     */
    public static Baselines run(String python, ModelConfig config, List<Measurement> lines, double millis) {
        List<String> shapes = lines.stream().filter(Baselines::hasBaseline).map(Baselines::name).toList();
        if (shapes.isEmpty()) {
            return none("nothing was measured that has one");
        }
        Path script = null;
        Process process = null;
        try {
            script = Files.createTempFile("fireq-", "-" + SCRIPT);
            Files.writeString(script, script());
            List<String> command = new ArrayList<>(List.of(python, script.toString(), "--heads", "" + config.nHeads(),
                    "--kv-heads", "" + config.nKvHeads(), "--head-dim", "" + config.headDim(), "--millis", "" + millis));
            command.addAll(shapes);
            Path output = Files.createTempFile("fireq-", "-baselines.json");
            try {
                process = new ProcessBuilder(command).redirectOutput(output.toFile())
                        .redirectError(ProcessBuilder.Redirect.INHERIT).start();
                process.getOutputStream().close();
                if (!process.waitFor(PATIENCE_SECONDS, TimeUnit.SECONDS)) {
                    return none("%s had not ended after %d s".formatted(python, PATIENCE_SECONDS));
                }
                return parse(Files.readString(output), process.exitValue());
            } finally {
                Files.deleteIfExists(output);
            }
        } catch (IOException e) {
            return none("%s cannot be run: %s".formatted(python, e.getMessage()));
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return none("interrupted");
        } finally {
            if (process != null) {
                process.destroyForcibly();
            }
            deleteQuietly(script);
        }
    }

    private static void deleteQuietly(Path file) {
        try {
            if (file != null) {
                Files.deleteIfExists(file);
            }
        } catch (IOException leftToTheSystem) {
            file.toFile().deleteOnExit();
        }
    }

    /** The text of the script. */
    static String script() {
        try (InputStream in = Baselines.class.getResourceAsStream(SCRIPT)) {
            if (in == null) {
                throw new IllegalStateException("Resource " + SCRIPT + " is missing; rebuild the engine");
            }
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new IllegalStateException("Reading resource " + SCRIPT, e);
        }
    }

    /** Reads the script's last line. */
    static Baselines parse(String output, int exitCode) throws IOException {
        String last = output.lines().filter(line -> !line.isBlank()).reduce("", (a, b) -> b);
        if (!last.startsWith("{")) {
            return none("the script ended with code %d and no result".formatted(exitCode));
        }
        JsonNode result = new ObjectMapper().readTree(last);
        if (result.hasNonNull("unavailable")) {
            return none(result.get("unavailable").asText());
        }
        Map<String, Map<String, Double>> byName = new LinkedHashMap<>();
        for (Map.Entry<String, JsonNode> line : result.path("lines").properties()) {
            Map<String, Double> micros = new LinkedHashMap<>();
            for (Map.Entry<String, JsonNode> value : line.getValue().properties()) {
                if (value.getValue().isNumber()) { // null where that library does not run the shape
                    micros.put(value.getKey(), value.getValue().asDouble());
                }
            }
            byName.put(line.getKey(), micros);
        }
        return new Baselines(result.path("setting").asText(), byName);
    }

    private static Baselines none(String reason) {
        return new Baselines("no baselines: " + reason, Map.of());
    }

    /** Microseconds of a line by one library; 0 where there are none. */
    double micros(Measurement line, String library) {
        return microsByName.getOrDefault(name(line), Map.of()).getOrDefault(library, 0.0);
    }
}
