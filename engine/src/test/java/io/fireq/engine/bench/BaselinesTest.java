package io.fireq.engine.bench;

import static org.assertj.core.api.Assertions.assertThat;

import io.fireq.engine.backend.Timing;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class BaselinesTest {
    private static final Measurement GEMM =
            Measurement.kernel(Part.GEMM, "16x512x256", "", new Timing(1, 1, 1, 1), 0, 0);
    private static final Measurement DECODE =
            Measurement.kernel(Part.ATTENTION, "decode 1x9", "", new Timing(1, 1, 1, 1), 0, 0);

    @Test
    void reads_the_last_line_of_the_output() throws IOException {
        Baselines found = Baselines.parse("a library says hello\n{\"setting\": \"torch 2\", \"lines\": {\"gemm 16x512x256\": "
                + "{\"bf16_us\": 4.5, \"fp8_us\": null}}}\n", 0);
        assertThat(found.setting()).isEqualTo("torch 2");
        assertThat(found.micros(GEMM, Baselines.BF16)).isEqualTo(4.5);
        assertThat(found.micros(GEMM, Baselines.FP8)).isZero();
        assertThat(found.micros(DECODE, Baselines.CUDNN)).isZero();
        assertThat(Baselines.parse("{\"unavailable\": \"no GPU\"}", 0).setting()).isEqualTo("no baselines: no GPU");
        assertThat(Baselines.parse("Killed", 137).setting()).contains("code 137");
    }

    @Test
    void says_why_there_are_none() {
        ModelShapes.all().values().stream().limit(1).forEach(config -> {
            assertThat(Baselines.run("no-such-python", config, List.of(GEMM), 1).setting())
                    .startsWith("no baselines: no-such-python cannot be run");
            assertThat(Baselines.run("no-such-python", config, List.of(DECODE), 1).setting())
                    .contains("nothing was measured");
        });
    }

    @Test
    void the_script_is_python_and_says_what_is_missing(@TempDir Path directory) throws Exception {
        Path script = directory.resolve("baselines.py");
        Files.writeString(script, Baselines.script());
        Process check;
        try {
            check = new ProcessBuilder("python3", "-m", "py_compile", script.toString()).redirectErrorStream(true).start();
        } catch (IOException e) {
            System.out.println("Skipped the syntax of baselines.py: there is no python3");
            return;
        }
        String output = new String(check.getInputStream().readAllBytes());
        assertThat(check.waitFor(60, TimeUnit.SECONDS)).isTrue();
        assertThat(check.exitValue()).as(output).isZero();

        // Whatever this host has, the answer is one of the two that the bench understands.
        Process run = new ProcessBuilder("python3", script.toString(), "--millis", "1", "gemm 16x128x128").start();
        Baselines answer = Baselines.parse(new String(run.getInputStream().readAllBytes()), run.waitFor());
        assertThat(answer.setting()).containsAnyOf("no torch", "sees no GPU", "torch ");
    }

    @Test
    void targets_are_the_designs() {
        assertThat(List.of(1, 16, 64, 256, 1024, 4096, 16384)).extracting(Targets::gemm)
                .containsExactly(2.0, 2.0, 1.5, 1.0, 0.9, 0.95, 0.95);
        assertThat(Targets.attention(1024)).isEqualTo(1.15);
        assertThat(Targets.attention(4096)).isEqualTo(1.35);
        Measurement first = new Measurement(Part.PREFILL, "1x1024", "", new Timing(13_000, 1, 1, 1), 0, 0, 1024, 0);
        assertThat(Targets.tokensPerSecond("llama3-8b", first).orElseThrow()).isEqualTo(first.tokensPerSecond());
        assertThat(Targets.tokensPerSecond("llama2-7b", first)).isEmpty();
    }
}
