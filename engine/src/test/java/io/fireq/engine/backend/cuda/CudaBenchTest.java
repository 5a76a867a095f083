package io.fireq.engine.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

import io.fireq.engine.api.EngineOptions.CpuKernelChoice;
import io.fireq.engine.api.Numerics;
import io.fireq.engine.backend.Backend;
import io.fireq.engine.backend.Hardware;
import io.fireq.engine.backend.KvFormat;
import io.fireq.engine.backend.cpu.CpuBackend;
import io.fireq.engine.bench.ForwardBench;
import io.fireq.engine.bench.ForwardBench.Workload;
import io.fireq.engine.bench.KernelBench;
import io.fireq.engine.bench.Measurement;
import io.fireq.engine.bench.SyntheticWeights;
import io.fireq.engine.model.LlamaModel;
import io.fireq.engine.model.ModelConfig;
import io.fireq.engine.model.RopeScaling;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;

/** What {@code fireq bench} does on the device, on a small shape; that times are times, not how long they are. */
@GpuTest
class CudaBenchTest {
    private static final ModelConfig CONFIG = new ModelConfig("LlamaForCausalLM", 256, 512, 2, 4, 2, 64, 1000, 512, 1e-5f,
            10_000, new RopeScaling.None(), false, OptionalInt.empty(), new int[0]);

    @Test
    void every_operation_agrees_with_the_cpu_and_is_timed() {
        List<Measurement> lines = new ArrayList<>();
        try (Backend cuda = CudaBackend.open(Numerics.QUANTIZED, false);
                Backend cpu = CpuBackend.create(Numerics.QUANTIZED, 2, CpuKernelChoice.AUTO)) {
            KernelBench bench = new KernelBench(CONFIG, cuda, cpu, 1, line -> true, lines::add);
            bench.gemm(new int[] {1, 16, 300});
            bench.prefillAttention(List.of(new Workload(3, 200)));
            bench.decodeAttention(List.of(new Workload(5, 300)));
            bench.rows(new int[] {1, 100});
            bench.head(new int[] {1, 20});
        }
        assertThat(lines).hasSize(4 * 3 + 1 + 1 + 2 * 4 + 2 * 3);
        assertThat(lines).allSatisfy(line -> {
            assertThat(line.timing().micros()).as(line.what()).isPositive().isFinite();
            assertThat(line.timing().low()).isLessThanOrEqualTo(line.timing().micros());
            assertThat(line.timing().high()).isGreaterThanOrEqualTo(line.timing().micros());
        });
    }

    @Test
    void steps_have_a_device_time_with_graphs_and_without() {
        Workload workload = new Workload(3, 40);
        LlamaModel.Limits limits = new LlamaModel.Limits(64, 512, workload.kvTokens(8, 64, 16) / 16, 16);
        for (boolean graphs : new boolean[] {false, true}) {
            try (CudaBackend cuda = CudaBackend.open(Numerics.QUANTIZED, graphs)) {
                LlamaModel model = LlamaModel.load(CONFIG, new SyntheticWeights(1), cuda, limits,
                        new KvFormat(KvFormat.Kind.ASYMMETRIC, 64), layer -> {});
                ForwardBench bench = new ForwardBench(model, cuda, limits, () -> {});
                assertThat(bench.prefill(workload, 2).tokensPerSecond()).isPositive();
                Measurement decode = bench.decode(workload, 8);
                assertThat(decode.deviceMicros()).isPositive().isFinite();
                assertThat(cuda.recordedGraphs() > 0).isEqualTo(graphs);
                if (graphs) {
                    assertThatIllegalStateException().isThrownBy(() -> cuda.stopwatch().operations(i -> {}, 1))
                            .withMessageContaining("CUDA graphs");
                }
            }
        }
    }

    @Test
    void the_device_says_what_it_can_do() {
        try (Backend cuda = CudaBackend.open(Numerics.QUANTIZED, false)) {
            Hardware hardware = cuda.hardware().orElseThrow();
            assertThat(hardware.name()).contains("NVIDIA");
            assertThat(hardware.cacheBytes()).isGreaterThan(10 << 20);
            assertThat(hardware.leastMicros(1e15, 1)).isGreaterThan(hardware.leastMicros(1e14, 1));
        }
    }
}
