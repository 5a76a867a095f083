package io.fireq.engine.bench;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.fireq.engine.backend.Hardware;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;

/** Prints results as they come, then one JSON line with all of them. Every time is a median beside its spread. */
public final class BenchReport {
    private static final int NAME_WIDTH = 40;

    private final PrintWriter out;
    private final Machine machine;
    private final Optional<Hardware> hardware;
    private final String model;
    private final List<Measurement> lines = new ArrayList<>();
    private final List<String> leftOut = new ArrayList<>();
    private Part part;

    /**
     * @param out     what to print to
     * @param machine printed first
     * @param model   name of the model or shape, with what it is made of
     */
    public BenchReport(PrintWriter out, Machine machine, Optional<Hardware> hardware, String model) {
        this.out = out;
        this.machine = machine;
        this.hardware = hardware;
        this.model = model;
        machine.facts().forEach((name, value) -> out.printf("%-8s %s%n", name, value));
        out.printf("%-8s %s%n", "model", model);
        out.flush();
    }

    /** All results so far. */
    public List<Measurement> lines() {
        return List.copyOf(lines);
    }

    /** Prints one result, under a heading where a part begins. */
    public void add(Measurement line) {
        lines.add(line);
        if (part != line.part()) {
            part = line.part();
            out.printf("%n%s%n", heading(part));
        }
        out.println(text(line));
        out.flush();
    }

    /** Remembers what there was no time for. */
    public void leaveOut(String what) {
        leftOut.add(what);
    }

    private String heading(Part of) {
        String times = "%-" + NAME_WIDTH + "s %10s %10s %10s %5s";
        if (of.isKernels()) {
            return (times + " %9s %8s %6s").formatted(of.title(), "µs", "p10", "p90", "n", "TFLOP/s", "GB/s", "roof");
        }
        return of == Part.PREFILL
                ? (times + " %10s").formatted(of.title(), "ms", "p10", "p90", "n", "tok/s")
                : (times + " %10s %10s %8s").formatted(of.title(), "ms", "p10", "p90", "n", "tok/s", "device ms", "host µs");
    }

    private String text(Measurement line) {
        double scale = line.part().isKernels() ? 1 : 1e-3;
        String times = format("%-" + NAME_WIDTH + "s %10.2f %10.2f %10.2f %5d", line.what(), line.timing().micros() * scale,
                line.timing().low() * scale, line.timing().high() * scale, line.timing().n());
        if (line.part().isKernels()) {
            double least = hardware.map(h -> h.leastMicros(line.flops(), line.bytes())).orElse(0.0);
            return times + number(" %9.1f", line.teraflopsPerSecond()) + number(" %8.0f", line.gigabytesPerSecond())
                    + number(" %6.2f", least / line.timing().micros());
        }
        String speed = times + format(" %10.1f", line.tokensPerSecond());
        return line.part() == Part.PREFILL
                ? speed
                : speed + number(" %10.3f", line.deviceMicros() * 1e-3)
                        + number(" %8.1f", line.deviceMicros() == 0 ? 0 : line.hostMicros());
    }

    /** The number, or a dash of the same width for what is 0: not measured, or not known. */
    private static String number(String format, double value) {
        String text = format(format, value);
        return value == 0 ? " ".repeat(text.length() - 1) + "-" : text;
    }

    private static String format(String format, Object... values) {
        return String.format(Locale.ROOT, format, values);
    }

    /** Prints the results beside those of other libraries, and beside this project's targets. */
    public void compare(String modelName, Baselines baselines) {
        out.println();
        if (!baselines.microsByName().isEmpty()) {
            out.printf("%-" + NAME_WIDTH + "s %10s %10s %10s %9s %9s%n", "beside other libraries", "µs", "bf16 µs", "FP8 µs",
                    "faster by", "target");
        }
        for (Measurement line : lines) {
            double bf16 = line.part() == Part.GEMM
                    ? baselines.micros(line, Baselines.BF16)
                    : baselines.micros(line, Baselines.CUDNN);
            double fp8 = baselines.micros(line, Baselines.FP8);
            double best = line.part() == Part.GEMM ? fp8 : bf16;
            if (bf16 > 0 || fp8 > 0) {
                out.println(format("%-" + NAME_WIDTH + "s %10.2f", line.what(), line.timing().micros())
                        + number(" %10.2f", bf16) + number(" %10.2f", fp8) + number(" %9.2f", best / line.timing().micros())
                        + format(" %9.2f", target(line)));
            }
        }
        for (Measurement line : lines) {
            OptionalDouble target = line.part().isKernels()
                    ? OptionalDouble.empty()
                    : Targets.tokensPerSecond(modelName, line);
            if (target.isPresent()) {
                out.println(format("%-" + NAME_WIDTH + "s %10.0f tok/s, %.2f of the target %.0f",
                        line.part() + " " + line.what(), line.tokensPerSecond(),
                        line.tokensPerSecond() / target.getAsDouble(), target.getAsDouble()));
            }
        }
        out.println(baselines.setting());
        out.flush();
    }

    /** How many times as fast as its baseline a line is meant to be. */
    private static double target(Measurement line) {
        String[] sizes = line.key().split("x");
        return line.part() == Part.GEMM
                ? Targets.gemm(Integer.parseInt(sizes[0]))
                : Targets.attention(Integer.parseInt(sizes[1]));
    }

    /** Ends the report with what was left out and the JSON line. */
    public void finish(Optional<Baselines> baselines) {
        if (!leftOut.isEmpty()) {
            out.printf("%nNo time was left for: %s%n", String.join("; ", leftOut));
        }
        Map<String, Object> json = new LinkedHashMap<>();
        json.put("machine", machine.facts());
        json.put("model", model);
        json.put("lines", lines.stream().map(this::fields).toList());
        json.put("left_out", leftOut);
        baselines.ifPresent(found -> json.put("baselines",
                Map.of("setting", found.setting(), "lines", found.microsByName())));
        try {
            out.printf("%n%s%n", new ObjectMapper().writeValueAsString(json));
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("Writing JSON of maps, lists and numbers", e);
        }
        out.flush();
    }

    private Map<String, Object> fields(Measurement line) {
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("part", line.part().toString());
        fields.put("key", line.key());
        fields.put("what", line.what());
        fields.put("us", rounded(line.timing().micros()));
        fields.put("p10_us", rounded(line.timing().low()));
        fields.put("p90_us", rounded(line.timing().high()));
        fields.put("n", line.timing().n());
        put(fields, "tflop_s", line.teraflopsPerSecond());
        put(fields, "gb_s", line.gigabytesPerSecond());
        put(fields, "roof", hardware.map(h -> h.leastMicros(line.flops(), line.bytes())).orElse(0.0)
                / line.timing().micros());
        put(fields, "tok_s", line.tokensPerSecond());
        put(fields, "device_us", line.deviceMicros());
        put(fields, "host_us", line.deviceMicros() == 0 ? 0 : line.hostMicros());
        return fields;
    }

    private static void put(Map<String, Object> fields, String name, double value) {
        if (value != 0) {
            fields.put(name, rounded(value));
        }
    }

    private static double rounded(double value) {
        return Math.round(value * 1e3) / 1e3;
    }
}
