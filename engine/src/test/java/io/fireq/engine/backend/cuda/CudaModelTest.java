package io.fireq.engine.backend.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import io.fireq.engine.api.EngineOptions.CpuKernelChoice;
import io.fireq.engine.api.Numerics;
import io.fireq.engine.backend.Backend;
import io.fireq.engine.backend.KvFormat;
import io.fireq.engine.backend.cpu.CpuBackend;
import io.fireq.engine.bench.SyntheticWeights;
import io.fireq.engine.model.LlamaModel;
import io.fireq.engine.model.ModelConfig;
import io.fireq.engine.model.RopeScaling;
import io.fireq.engine.tensor.HostTensor;
import io.fireq.engine.tensor.WeightMatrix;
import io.fireq.engine.weights.WeightSource;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;

/** A whole small model of random weights and awkward shape on both backends. */
@GpuTest
class CudaModelTest {
    private static final long SEED = 20_241_122;
    /** Roundings that fall the other way move a few activations by a step each; anything systematic moves all. */
    private static final double FLOOR = 0.02;
    private static final int N_SEQS = 5;
    private static final int VOCAB_SIZE = 301;

    private static LlamaModel load(Backend backend, LlamaModel.Limits limits, WeightSource weights) {
        ModelConfig config = new ModelConfig("LlamaForCausalLM", 70, 110, 3, 6, 3, 12, VOCAB_SIZE, 128, 1e-5f, 10_000,
                new RopeScaling.None(), false, OptionalInt.empty(), new int[0]);
        return LlamaModel.load(config, weights, backend, limits,
                new KvFormat(KvFormat.Kind.ASYMMETRIC, 6), layer -> {});
    }

    /** Five prompts of different lengths, then decode steps of changing company, past 16 KV blocks. */
    private static List<float[]> run(Backend backend) {
        return run(backend, new SyntheticWeights(SEED));
    }

    private static List<float[]> run(Backend backend, WeightSource weights) {
        LlamaModel.Limits limits = new LlamaModel.Limits(11, 128, N_SEQS * 32, 4);
        ModelRunner runner = new ModelRunner(load(backend, limits, weights), limits, N_SEQS);
        Random random = new Random(SEED);
        List<float[]> all = new ArrayList<>();
        for (int s = 0; s < N_SEQS; s++) {
            all.add(runner.append(s, random.ints(1 + 7 * s, 0, VOCAB_SIZE).toArray()));
        }
        for (int step = 0; step < 70; step++) {
            int nSeqs = 1 + step / 3 % N_SEQS;
            int first = random.nextInt(N_SEQS);
            int[] seqs = IntStream.range(0, nSeqs).map(i -> (first + i) % N_SEQS).toArray();
            all.addAll(List.of(runner.decode(seqs, random.ints(nSeqs, 0, VOCAB_SIZE).toArray())));
        }
        return all;
    }

    @Test
    void agrees_with_the_cpu_backend() {
        List<float[]> wanted;
        List<float[]> nudged;
        List<float[]> actual;
        try (Backend cpu = CpuBackend.create(Numerics.QUANTIZED, 2, CpuKernelChoice.PLAIN)) {
            wanted = run(cpu);
        }
        try (Backend cpu = CpuBackend.create(Numerics.QUANTIZED, 2, CpuKernelChoice.PLAIN)) {
            nudged = run(cpu, new NudgedWeights());
        }
        try (Backend cuda = CudaBackend.open(Numerics.QUANTIZED, false)) {
            actual = run(cuda);
        }
        double worst = 0;
        double worstOfNudge = 0;
        for (int i = 0; i < wanted.size(); i++) {
            worst = Math.max(worst, ModelRunner.relativeError(wanted.get(i), actual.get(i)));
            worstOfNudge = Math.max(worstOfNudge, ModelRunner.relativeError(wanted.get(i), nudged.get(i)));
        }
        System.out.printf("Synthetic model: largest relative error of %d rows of logits %.3g, of a nudge by 1e-5 %.3g%n",
                wanted.size(), worst, worstOfNudge);
        assertThat(worst).as("seed %d", SEED).isLessThan(Math.max(2 * worstOfNudge, FLOOR));
    }

    @Test
    void recorded_decode_steps_change_no_bit() {
        List<float[]> wanted;
        try (Backend direct = CudaBackend.open(Numerics.QUANTIZED, false)) {
            wanted = run(direct);
        }
        try (CudaBackend recording = CudaBackend.open(Numerics.QUANTIZED, true)) {
            List<float[]> actual = run(recording);
            assertThat(recording.recordedGraphs()).isGreaterThanOrEqualTo(4);
            for (int i = 0; i < wanted.size(); i++) {
                assertThat(actual.get(i)).as("logits row %d, seed %d", i, SEED).containsExactly(wanted.get(i));
            }
        }
    }

    @Test
    void a_replayed_step_refuses_what_the_model_cannot_compute_and_the_next_one_is_right() {
        LlamaModel.Limits limits = new LlamaModel.Limits(11, 128, N_SEQS * 32, 4);
        int[] one = {0};
        float[] wanted = null;
        for (boolean disturbed : new boolean[] {false, true}) {
            try (CudaBackend recording = CudaBackend.open(Numerics.QUANTIZED, true)) {
                LlamaModel model = load(recording, limits, new SyntheticWeights(SEED));
                ModelRunner runner = new ModelRunner(model, limits, N_SEQS);
                for (int token = 0; token < 4; token++) {
                    runner.decode(one, new int[] {token});
                }
                assertThat(recording.recordedGraphs()).isEqualTo(1);
                if (disturbed) {
                    assertThatIllegalArgumentException()
                            .isThrownBy(() -> new ModelRunner(model, limits, N_SEQS).decode(one, new int[] {VOCAB_SIZE}))
                            .withMessageContaining("token id 301");
                }
                float[] logits = runner.decode(one, new int[] {4})[0];
                if (disturbed) {
                    assertThat(logits).containsExactly(wanted);
                }
                wanted = logits;
            }
        }
    }

    @Test
    void the_same_run_gives_the_same_bits() {
        try (Backend first = CudaBackend.open(Numerics.QUANTIZED, false);
                Backend second = CudaBackend.open(Numerics.QUANTIZED, false)) {
            List<float[]> wanted = run(first);
            List<float[]> actual = run(second);
            for (int i = 0; i < wanted.size(); i++) {
                assertThat(actual.get(i)).as("logits row %d", i).containsExactly(wanted.get(i));
            }
        }
    }

    /**
     * The same model with the weights of its first norm off by 1e-5 of themselves, every other one: what such errors
     * become once roundings fall the other way.
     */
    private static final class NudgedWeights implements WeightSource {
        private final WeightSource weights = new SyntheticWeights(SEED);

        @Override
        public boolean hasLinear(String layerName) {
            return weights.hasLinear(layerName);
        }

        @Override
        public WeightMatrix linear(String layerName, int n, int k) {
            return weights.linear(layerName, n, k);
        }

        @Override
        public boolean has(String tensorName) {
            return weights.has(tensorName);
        }

        @Override
        public HostTensor tensor(String tensorName, int... shape) {
            HostTensor tensor = weights.tensor(tensorName, shape);
            if (!tensorName.equals("model.layers.0.input_layernorm.weight")) {
                return tensor;
            }
            float[] values = tensor.toFloats();
            for (int i = 0; i < values.length; i += 2) {
                values[i] *= 1 + 1e-5f;
            }
            return HostTensor.ofFloats(tensorName, tensor.shape(), values);
        }
    }
}
