package io.fireq.engine.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.fireq.engine.api.EngineOptions.CpuKernelChoice;
import io.fireq.engine.api.FireqException;
import io.fireq.engine.api.Numerics;
import io.fireq.engine.backend.Backend;
import io.fireq.engine.backend.Hardware;
import io.fireq.engine.backend.Stopwatch;
import io.fireq.engine.backend.Timing;
import io.fireq.engine.backend.cpu.CpuBackend;
import io.fireq.engine.bench.ForwardBench.Workload;
import io.fireq.engine.model.ModelConfig;
import io.fireq.engine.model.RopeScaling;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.function.IntConsumer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** The whole kernel bench on the CPU as if it were a device, with made-up times. */
class KernelBenchTest {
    private static final ModelConfig CONFIG = new ModelConfig("LlamaForCausalLM", 64, 96, 2, 4, 2, 16, 320, 64, 1e-5f,
            10_000, new RopeScaling.None(), true, OptionalInt.empty(), new int[0]);

    private final Backend cpu = CpuBackend.create(Numerics.QUANTIZED, 2, CpuKernelChoice.PLAIN);
    private final Backend reference = CpuBackend.create(Numerics.QUANTIZED, 1, CpuKernelChoice.PLAIN);
    private final List<Measurement> lines = new ArrayList<>();

    @AfterEach
    void close() {
        cpu.close();
        reference.close();
    }

    @Test
    void every_operation_is_verified_and_timed() {
        KernelBench bench = bench("nothing");
        bench.gemm(new int[] {1, 5});
        bench.prefillAttention(List.of(new Workload(2, 20), new Workload(1, 70)));
        bench.decodeAttention(List.of(new Workload(3, 33), new Workload(1, 1)));
        bench.rows(new int[] {1, 4});
        bench.head(new int[] {3});
        assertThat(lines).extracting(Measurement::key).contains("1x128x64", "5x64x64", "5x192x64", "1x64x96", "2x20", "1x70",
                "decode 3x33", "decode 1x1").doesNotHaveDuplicates().hasSize(8 + 4 + 8 + 3);
        assertThat(lines).allSatisfy(line -> assertThat(line.timing()).isEqualTo(FakeStopwatch.TIMING));
        Measurement gateUp = lines.stream().filter(line -> line.key().equals("5x192x64")).findFirst().orElseThrow();
        assertThat(gateUp.flops()).isEqualTo(2.0 * 5 * 192 * 64);
        assertThat(gateUp.bytes()).isEqualTo(192 * 64 / 2 + 192 * 64 / 128 + 5 * 64 + 2 * 5 * 96);
    }

    @Test
    void an_operation_that_is_wrong_is_not_timed() {
        assertThatThrownBy(() -> bench("linear").gemm(new int[] {3})).isInstanceOf(FireqException.class)
                .hasMessageContaining("qkv, 128 × 64, m=3 is wrong");
        assertThatThrownBy(() -> bench("attention").prefillAttention(List.of(new Workload(2, 20))))
                .hasMessageContaining("prefill 2 × 20 is wrong");
        assertThatThrownBy(() -> bench("attention").decodeAttention(List.of(new Workload(2, 20))))
                .hasMessageContaining("decode 2 at 20 is wrong");
        assertThatThrownBy(() -> bench("embed").rows(new int[] {1})).hasMessageContaining("embedding 64, m=1 is wrong");
        assertThatThrownBy(() -> bench("rmsNormQuantize").rows(new int[] {3})).hasMessageContaining("is wrong");
        assertThatThrownBy(() -> bench("quantize").rows(new int[] {3})).hasMessageContaining("quantize 96, m=3 is wrong");
        assertThatThrownBy(() -> bench("embed").head(new int[] {3})).hasMessageContaining("output head, m=3 is wrong");
        assertThat(lines).extracting(Measurement::part).containsOnly(Part.ROWS); // operations before the wrong one
    }

    @Test
    void what_is_not_wanted_is_left_out() {
        KernelBench bench = new KernelBench(CONFIG, device("nothing"), reference, 1, line -> line.contains("qkv")
                && !line.endsWith("m=5"), lines::add);
        bench.gemm(new int[] {1, 5});
        bench.decodeAttention(List.of(new Workload(1, 20)));
        assertThat(lines).extracting(Measurement::what).containsExactly("qkv, 128 × 64, m=1");
    }

    private KernelBench bench(String broken) {
        return new KernelBench(CONFIG, device(broken), reference, 1, line -> true, lines::add);
    }

    /** The CPU backend with a cache to go beyond, times that are made up, and one operation that does nothing. */
    private Backend device(String broken) {
        return (Backend) Proxy.newProxyInstance(getClass().getClassLoader(), new Class<?>[] {Backend.class},
                (proxy, method, arguments) -> {
                    if (method.getName().equals("hardware")) {
                        return Optional.of(new Hardware("fake", "none", 0, 0, 0, 6000));
                    }
                    if (method.getName().equals("stopwatch")) {
                        return new FakeStopwatch();
                    }
                    if (method.getName().equals(broken) && method.getReturnType() == void.class) {
                        return null;
                    }
                    try {
                        return method.invoke(cpu, arguments);
                    } catch (InvocationTargetException e) {
                        throw e.getCause();
                    }
                });
    }

    /** Runs each operation on as many operands as there may be. */
    private static final class FakeStopwatch implements Stopwatch {
        static final Timing TIMING = new Timing(3, 2, 4, 5);

        @Override
        public Timing operations(IntConsumer launch, double millis) {
            for (int i = 0; i < 7; i++) {
                launch.accept(i);
            }
            return TIMING;
        }

        @Override
        public Timing steps(Runnable step, double millis) {
            step.run();
            return TIMING;
        }
    }
}
