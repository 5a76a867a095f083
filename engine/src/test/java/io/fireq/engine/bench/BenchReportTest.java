package io.fireq.engine.bench;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.fireq.engine.backend.Hardware;
import io.fireq.engine.backend.Timing;
import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;

/** What is printed for times that are made up. */
class BenchReportTest {
    private static final Machine MACHINE = new Machine("a CPU", "Java 17", "device 0 'NVIDIA H200'", "580.1 (CUDA 13.0)", "abc");
    /** 4 TB/s and 2000 TFLOP/s. */
    private static final Hardware HARDWARE = new Hardware("NVIDIA H200", "CUDA 13.0", 1980, 4e12, 2e15, 50 << 20);
    private static final Measurement GEMM = Measurement.kernel(Part.GEMM, "1024x28672x4096", "gate_up, m=1024",
            new Timing(200, 190, 230, 50), 2.0 * 1024 * 28672 * 4096, 60e6);
    private static final Measurement ATTENTION = Measurement.kernel(Part.ATTENTION, "4x4096", "prefill 4 × 4096",
            new Timing(1000, 999, 1001, 7), 1e12, 0);
    private static final Measurement PREFILL = new Measurement(Part.PREFILL, "16x1024", "16 × 1024",
            new Timing(200_000, 199_000, 202_000, 3), 0, 0, 16 * 1024, 0);
    private static final Measurement DECODE = new Measurement(Part.DECODE, "64x1024", "64 at 1024",
            new Timing(2500, 2490, 2600, 64), 0, 0, 64, 2475);

    private final StringWriter text = new StringWriter();

    private BenchReport report(Optional<Hardware> hardware) {
        return new BenchReport(new PrintWriter(text), MACHINE, hardware, "llama3-8b, random weights");
    }

    @Test
    void every_line_has_its_time_its_spread_and_its_share_of_the_roof() {
        BenchReport report = report(Optional.of(HARDWARE));
        List.of(GEMM, ATTENTION, PREFILL, DECODE).forEach(report::add);
        assertThat(text.toString().lines()).contains(
                "device   device 0 'NVIDIA H200'",
                "commit   abc",
                "linear layers alone                              µs        p10        p90     n   TFLOP/s     GB/s   roof",
                "gate_up, m=1024                              200.00     190.00     230.00    50    1202.6      300   0.60",
                "prefill 4 × 4096                            1000.00     999.00    1001.00     7    1000.0        -   0.50",
                "prefill to the first token                       ms        p10        p90     n      tok/s",
                "16 × 1024                                    200.00     199.00     202.00     3    81920.0",
                "decode step                                      ms        p10        p90     n      tok/s  device ms  host µs",
                "64 at 1024                                     2.50       2.49       2.60    64    25600.0      2.475     25.0");
    }

    @Test
    void what_is_not_known_is_a_dash() {
        BenchReport report = report(Optional.empty());
        report.add(GEMM);
        report.add(new Measurement(Part.DECODE, "1x9", "1 at 9", new Timing(10_000, 9000, 11_000, 4), 0, 0, 1, 0));
        assertThat(text.toString().lines()).contains(
                "gate_up, m=1024                              200.00     190.00     230.00    50    1202.6      300      -",
                "1 at 9                                        10.00       9.00      11.00     4      100.0          -        -");
    }

    @Test
    void ratios_stand_beside_the_targets() {
        BenchReport report = report(Optional.of(HARDWARE));
        List.of(GEMM, ATTENTION, PREFILL, DECODE).forEach(report::add);
        report.compare("llama3-8b", new Baselines("torch 2", Map.of(
                "gemm 1024x28672x4096", Map.of(Baselines.BF16, 340.0, Baselines.FP8, 180.0),
                "attention 4x4096", Map.of(Baselines.CUDNN, 1500.0))));
        assertThat(text.toString().lines()).contains(
                "gate_up, m=1024                              200.00     340.00     180.00      0.90      0.90",
                "prefill 4 × 4096                            1000.00    1500.00          -      1.50      1.35",
                "prefill 16 × 1024                             81920 tok/s, 1.00 of the target 82000",
                "decode 64 at 1024                             25600 tok/s, 1.02 of the target 25000",
                "torch 2");
    }

    @Test
    void without_baselines_it_says_why() {
        BenchReport report = report(Optional.of(HARDWARE));
        report.add(GEMM);
        report.compare("llama2-7b", new Baselines("no baselines: no torch", Map.of()));
        assertThat(text.toString()).contains("no baselines: no torch").doesNotContain("faster by", "target");
    }

    @Test
    void the_last_line_is_json_with_everything() throws IOException {
        BenchReport report = report(Optional.of(HARDWARE));
        List.of(GEMM, DECODE).forEach(report::add);
        report.leaveOut("prefill 16 × 4096");
        report.finish(Optional.of(new Baselines("torch 2", Map.of("gemm 1x2x3", Map.of(Baselines.FP8, 1.5)))));
        assertThat(text.toString()).contains("No time was left for: prefill 16 × 4096");
        JsonNode json = new ObjectMapper().readTree(text.toString().lines().reduce("", (a, b) -> b));
        assertThat(json.at("/machine/driver").asText()).isEqualTo("580.1 (CUDA 13.0)");
        assertThat(json.at("/model").asText()).isEqualTo("llama3-8b, random weights");
        assertThat(json.at("/lines/0/part").asText()).isEqualTo("gemm");
        assertThat(json.at("/lines/0/us").asDouble()).isEqualTo(200);
        assertThat(json.at("/lines/0/roof").asDouble()).isEqualTo(0.601);
        assertThat(json.at("/lines/0").has("tok_s")).isFalse();
        assertThat(json.at("/lines/1/host_us").asDouble()).isEqualTo(25);
        assertThat(json.at("/left_out/0").asText()).isEqualTo("prefill 16 × 4096");
        assertThat(json.at("/baselines/lines/gemm 1x2x3/fp8_us").asDouble()).isEqualTo(1.5);
    }
}
