package io.fireq.engine.quant.calibration;

import static org.assertj.core.api.Assertions.assertThat;

import io.fireq.engine.api.EngineOptions.CpuKernelChoice;
import io.fireq.engine.api.Numerics;
import io.fireq.engine.backend.Backend;
import io.fireq.engine.backend.KvFormat;
import io.fireq.engine.backend.cpu.CpuBackend;
import io.fireq.engine.backend.cuda.CudaBackend;
import io.fireq.engine.backend.cuda.CudaFloatBackend;
import io.fireq.engine.backend.cuda.GpuTest;
import io.fireq.engine.model.ModelConfig;
import io.fireq.engine.model.RopeScaling;
import io.fireq.engine.tensor.FloatMatrix;
import io.fireq.engine.tensor.HostTensor;
import io.fireq.engine.tensor.Int4Matrix;
import io.fireq.engine.tensor.WeightMatrix;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import java.util.Random;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A decoder layer puts out the same on CPU and GPU, piece by piece, also after its weights were replaced. */
@GpuTest
class CudaBlockRunnerTest {
    private static final ModelConfig CONFIG = new ModelConfig("LlamaForCausalLM", 192, 344, 1, 6, 3, 32, 100, 300, 1e-5f,
            10_000, new RopeScaling.None(), false, OptionalInt.empty(), new int[0]);
    private static final int WINDOW = 130;
    private static final int Q = 192;
    private static final int KV = 96;

    @ParameterizedTest
    @ValueSource(ints = {1, 37, 130})
    void float32_agrees(int nTokens) {
        KvFormat format = new KvFormat(KvFormat.Kind.FLOAT32, 32);
        List<float[]> expected = run(() -> CpuBackend.create(Numerics.FLOAT32, 2, CpuKernelChoice.PLAIN), format, 0,
                nTokens, CudaBlockRunnerTest::floats);
        List<float[]> actual = run(CudaFloatBackend::open, format, 0, nTokens, CudaBlockRunnerTest::floats);
        compare(actual, expected, 2e-5);
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 37, 130})
    void quantized_agrees_but_for_the_roundings_that_fall_otherwise(int nTokens) {
        KvFormat format = new KvFormat(KvFormat.Kind.ASYMMETRIC, 32);
        List<float[]> expected = run(() -> CpuBackend.create(Numerics.QUANTIZED, 2, CpuKernelChoice.PLAIN), format, 32,
                nTokens, CudaBlockRunnerTest::int4);
        List<float[]> actual = run(() -> CudaBackend.open(Numerics.QUANTIZED, false), format, 32, nTokens,
                CudaBlockRunnerTest::int4);
        compare(actual, expected, 0.03);
    }

    /** Relative to the root mean square of each result. */
    private static void compare(List<float[]> actual, List<float[]> expected, double tolerance) {
        for (int piece = 0; piece < expected.size(); piece++) {
            double error = 0;
            double square = 0;
            for (int i = 0; i < expected.get(piece).length; i++) {
                double difference = actual.get(piece)[i] - expected.get(piece)[i];
                error += difference * difference;
                square += (double) expected.get(piece)[i] * expected.get(piece)[i];
            }
            double relative = Math.sqrt(error / square);
            assertThat(relative <= tolerance).as("piece %d: relative error %s", piece, relative).isTrue();
        }
    }

    private interface Weights {
        WeightMatrix of(Random random, int n, int k);
    }

    private static WeightMatrix floats(Random random, int n, int k) {
        return new FloatMatrix(HostTensor.ofFloats("w", List.of(n, k), normal(random, n * k, 1 / Math.sqrt(k))));
    }

    private static WeightMatrix int4(Random random, int n, int k) {
        byte[] packed = new byte[n * (k / 2)];
        random.nextBytes(packed);
        int groupSize = k % 64 == 0 ? 64 : k;
        byte[] scales = new byte[n * (k / groupSize)];
        Arrays.fill(scales, (byte) 0x38);
        float[] rowScale = new float[n];
        Arrays.fill(rowScale, (float) (0.2 / Math.sqrt(k)));
        return new Int4Matrix("w", n, k, groupSize, ByteBuffer.wrap(packed), ByteBuffer.wrap(scales), rowScale,
                Int4Matrix.integers());
    }

    private static float[] normal(Random random, int count, double deviation) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = (float) (deviation * random.nextGaussian());
        }
        return values;
    }

    private static List<float[]> run(Supplier<Backend> backend, KvFormat format, int hadamard, int nTokens,
            Weights weights) {
        List<float[]> results = new ArrayList<>();
        try (BlockRunner runner = new BlockRunner(backend.get(), CONFIG, format, hadamard, WINDOW)) {
            Random random = new Random(9);
            for (int layer = 0; layer < 2; layer++) {
                runner.inputNorm(normal(random, 192, 1));
                runner.qkv(List.of(weights.of(random, Q, 192), weights.of(random, KV, 192), weights.of(random, KV, 192)),
                        layer == 0 ? null : positive(random, KV));
                runner.output(weights.of(random, 192, Q));
                runner.postNorm(normal(random, 192, 1));
                runner.gateUp(List.of(weights.of(random, 344, 192), weights.of(random, 344, 192)));
                runner.down(weights.of(random, 192, 344));
                runner.begin(nTokens, normal(random, nTokens * 192, 1));
                runner.attentionInput();
                read(results, nTokens * 192, runner::readNormed);
                runner.qkv();
                read(results, nTokens * (Q + 2 * KV), runner::readQkv);
                runner.attend();
                read(results, nTokens * Q, runner::readAttended);
                read(results, nTokens * Q, runner::readAttendedQuantized);
                runner.addAttention();
                read(results, nTokens * 192, runner::readHidden);
                runner.mlpInput();
                runner.gateUp();
                read(results, nTokens * 344, runner::readGated);
                read(results, nTokens * 344, runner::readGatedQuantized);
                runner.writeGated(results.get(results.size() - 2));
                runner.addMlp();
                read(results, nTokens * 192, runner::readHidden);
            }
        }
        return results;
    }

    private static float[] positive(Random random, int count) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = 0.5f + random.nextFloat();
        }
        return values;
    }

    private static void read(List<float[]> results, int count, Consumer<float[]> piece) {
        float[] values = new float[count];
        piece.accept(values);
        results.add(values);
    }
}
