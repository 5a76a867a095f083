package io.fireq.engine.bench;

import io.fireq.engine.backend.Backend;
import io.fireq.engine.backend.Hardware;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Where numbers come from.
 *
 * @param processor the CPU, its number of processors and the system
 * @param jvm       Java's version and VM
 * @param device    what the model runs on
 * @param driver    the GPU's driver and its highest clock; empty without a GPU
 * @param commit    of the sources, or "unknown"
 */
public record Machine(String processor, String jvm, String device, String driver, String commit) {
    private static final Pattern DRIVER_VERSION = Pattern.compile("\\b\\d+\\.\\d+(\\.\\d+)?\\b");

    /** @param commit of the sources; null asks git in the working directory */
    public static Machine here(Backend backend, String commit) {
        return new Machine("%s, %d processors, %s %s".formatted(cpuModel(), Runtime.getRuntime().availableProcessors(),
                System.getProperty("os.name"), System.getProperty("os.arch")),
                "Java %s (%s)".formatted(System.getProperty("java.version"), System.getProperty("java.vm.name")),
                backend.description(), backend.hardware().map(Machine::driverOf).orElse(""),
                commit != null ? commit : gitCommit());
    }

    private static String cpuModel() {
        return lines("/proc/cpuinfo").filter(line -> line.startsWith("model name"))
                .map(line -> line.substring(line.indexOf(':') + 1).strip()).orElse("unknown CPU");
    }

    private static String driverOf(Hardware hardware) {
        String version = lines("/proc/driver/nvidia/version").map(DRIVER_VERSION::matcher).filter(Matcher::find)
                .map(Matcher::group).orElse("unknown");
        return String.format(Locale.ROOT, "%s (%s), up to %.0f MHz, %.2f TB/s, %.0f TFLOP/s FP8", version,
                hardware.interfaceVersion(), hardware.clockMhz(), hardware.bytesPerSecond() * 1e-12,
                hardware.flopsPerSecond() * 1e-12);
    }

    private static Optional<String> lines(String file) {
        try (var lines = Files.lines(Path.of(file))) {
            return lines.filter(line -> line.startsWith("model name") || line.startsWith("NVRM version")).findFirst();
        } catch (IOException | java.io.UncheckedIOException notThisSystem) {
            return Optional.empty();
        }
    }

    private static String gitCommit() {
        try {
            Process git = new ProcessBuilder("git", "describe", "--always", "--dirty").redirectErrorStream(true).start();
            String answer = new String(git.getInputStream().readAllBytes()).strip();
            return git.waitFor(5, TimeUnit.SECONDS) && git.exitValue() == 0 ? answer : "unknown";
        } catch (IOException noGit) {
            return "unknown";
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return "unknown";
        }
    }

    /** Name and value of each, those that are known. */
    Map<String, String> facts() {
        Map<String, String> facts = new LinkedHashMap<>();
        facts.put("device", device);
        facts.put("driver", driver);
        facts.put("cpu", processor);
        facts.put("jvm", jvm);
        facts.put("commit", commit);
        facts.values().removeAll(List.of(""));
        return facts;
    }
}
