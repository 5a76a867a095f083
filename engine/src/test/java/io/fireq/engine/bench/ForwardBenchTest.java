package io.fireq.engine.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import io.fireq.engine.api.EngineOptions.CpuKernelChoice;
import io.fireq.engine.api.Numerics;
import io.fireq.engine.backend.Backend;
import io.fireq.engine.backend.KvFormat;
import io.fireq.engine.backend.Timing;
import io.fireq.engine.backend.cpu.CpuBackend;
import io.fireq.engine.batch.Batch;
import io.fireq.engine.bench.ForwardBench.Workload;
import io.fireq.engine.model.LlamaModel;
import io.fireq.engine.model.ModelConfig;
import io.fireq.engine.model.RopeScaling;
import java.util.OptionalInt;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;

class ForwardBenchTest {
    private static final ModelConfig CONFIG = new ModelConfig("LlamaForCausalLM", 64, 96, 2, 4, 2, 16, 320, 256, 1e-5f,
            10_000, new RopeScaling.None(), true, OptionalInt.empty(), new int[0]);

    @Test
    void steps_are_as_many_as_the_scheduler_takes() {
        Workload workload = new Workload(3, 40);
        int steps = 5;
        int chunk = 16;
        LlamaModel.Limits limits = new LlamaModel.Limits(chunk, 256, workload.kvTokens(steps, chunk, 4) / 4, 4);
        try (Backend backend = CpuBackend.create(Numerics.QUANTIZED, 2, CpuKernelChoice.PLAIN)) {
            LlamaModel model = load(backend, limits);
            AtomicInteger taken = new AtomicInteger();
            ForwardBench bench = new ForwardBench(model, backend, limits, taken::incrementAndGet);
            Measurement prefill = bench.prefill(workload, 2);
            assertThat(taken).as("120 tokens in chunks of 16, three times").hasValue(3 * 8);
            assertThat(prefill.tokens()).isEqualTo(120);
            assertThat(prefill.timing().n()).isEqualTo(2);

            taken.set(0);
            Measurement decode = bench.decode(workload, steps);
            assertThat(decode.timing().n()).isEqualTo(steps);
            assertThat(decode.tokens()).isEqualTo(3);
            assertThat(taken.get()).isGreaterThanOrEqualTo(8 + 4 + steps);
        }
    }

    @Test
    void a_step_computed_again_gives_the_same_logits() {
        LlamaModel.Limits limits = new LlamaModel.Limits(8, 256, 4, 16);
        try (Backend backend = CpuBackend.create(Numerics.QUANTIZED, 1, CpuKernelChoice.PLAIN)) {
            LlamaModel model = load(backend, limits);
            int[] positions = {0, 1, 2};
            float[] first = new float[320];
            float[] second = new float[320];
            model.forward(new Batch(new int[] {5, 300, 7}, positions, positions, new int[] {0, 3}, new int[] {3},
                    new int[][] {{0}}, new int[] {2})).copyRow(0, first);
            model.recompute().copyRow(0, second);
            assertThat(second).isEqualTo(first);
        }
    }

    @Test
    void a_workload_knows_what_it_takes() {
        assertThat(new Workload(2, 33).kvTokens(0, 64, 16)).isEqualTo(2 * 48);
        assertThat(new Workload(2, 33).maxLen(0, 64)).isEqualTo(34);
        assertThat(new Workload(16, 1024).maxLen(64, 16_384)).as("two steps of prefill, four to warm up, 64, one more")
                .isEqualTo(1024 + 2 + 4 + 64 + 1);
        assertThatIllegalArgumentException().isThrownBy(() -> new Workload(0, 5)).withMessageContaining("0 prompts");
    }

    @Test
    void timings_are_medians_with_their_spread() {
        assertThat(Timing.of(new double[] {5, 1, 9, 3, 7, 2, 8, 4, 6, 10, 0})).isEqualTo(new Timing(5, 1, 9, 11));
        assertThat(Timing.of(new double[] {4, 1})).isEqualTo(new Timing(2.5, 1, 4, 2));
    }

    private static LlamaModel load(Backend backend, LlamaModel.Limits limits) {
        return LlamaModel.load(CONFIG, new SyntheticWeights(1), backend, limits,
                new KvFormat(KvFormat.Kind.ASYMMETRIC, 16), layer -> {});
    }
}
