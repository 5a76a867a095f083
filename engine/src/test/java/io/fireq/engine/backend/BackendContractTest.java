package io.fireq.engine.backend;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.fireq.engine.api.Numerics;
import io.fireq.engine.api.SamplingParams;
import io.fireq.engine.backend.AttentionScenario.Results;
import io.fireq.engine.backend.Backend.Epilogue;
import io.fireq.engine.backend.Backend.Logits;
import io.fireq.engine.backend.Backend.QuantizedRows;
import io.fireq.engine.backend.Backend.Rows;
import io.fireq.engine.backend.Backend.Vector;
import io.fireq.engine.backend.Backend.Weight;
import io.fireq.engine.backend.NumericsOracle.Quantized;
import io.fireq.engine.batch.Batch;
import io.fireq.engine.sampling.Sampler;
import io.fireq.engine.tensor.Bf16;
import io.fireq.engine.tensor.E4m3;
import io.fireq.engine.tensor.Int4Matrix;
import io.fireq.engine.tensor.WeightMatrix;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.OptionalLong;
import java.util.Random;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * What every backend must do, operation by operation, against {@link NumericsOracle}. Where the order of a float32 sum
 * cannot matter, results are compared exactly. Elsewhere a last rounding may fall the other way once in a while, but not
 * on average.
 */
public abstract class BackendContractTest {
    private static final long SEED = 20_240_901;
    /** bfloat16 neighbours are at most this far apart, relative to them. */
    private static final double BF16_STEP = 1.0 / 128;
    private static final double E4M3_STEP = 1.0 / 8;
    /** Share of the mean magnitude: far below what one rounding left out or put in would do to the mean (2⁻⁹ or more). */
    private static final double MEAN_ERROR = 1e-4;

    private final NumericsOracle oracle = new NumericsOracle(true);
    private final NumericsOracle exact = new NumericsOracle(false);
    private Backend backend;
    private RowAccess access;

    /** A backend of its own for each test. */
    protected abstract Backend open(Numerics numerics);

    protected abstract RowAccess access();

    /**
     * What an attention result may be off because weights are rounded to e4m3 relative to the maximum of a block and not
     * of the row: the rounding is as fine, but falls elsewhere.
     */
    protected double weightPhaseError() {
        return 0;
    }

    /** Whether the order of a product's sums is the same for every number of tokens. */
    protected boolean sumsHaveOneOrder() {
        return true;
    }

    /** Mean relative error that the backend's sums of products may have. */
    protected double sumError() {
        return 1e-5;
    }

    /** Whether the backend has the float32 mode and its KV format. */
    protected boolean hasFloat32() {
        return true;
    }

    private void assumeHas(KvFormat.Kind kind) {
        assumeTrue(kind != KvFormat.Kind.FLOAT32 || hasFloat32(), "this backend has no FLOAT32 KV cache");
    }

    @BeforeEach
    void open() {
        backend = open(Numerics.QUANTIZED);
        access = access();
    }

    @AfterEach
    void close() {
        backend.close();
    }

    // Embedding.

    @Test
    void embeds_bf16_rows_as_stored() {
        assertEmbeds(TestMatrices.bf16(11, 13, SEED));
    }

    @Test
    void embeds_float32_rows_rounded_to_bf16() {
        assertEmbeds(TestMatrices.float32(11, 13, SEED));
    }

    @Test
    void embeds_e4m3_rows_rounded_to_bf16() {
        assertEmbeds(TestMatrices.e4m3(11, 13, SEED));
    }

    @Test
    void embeds_int4_rows_rounded_to_bf16() {
        assertEmbeds(TestMatrices.int4(11, 12, 4, TestMatrices.UNEVEN_VALUES, SEED));
        assertEmbeds(TestMatrices.int4(11, 13, 13, Int4Matrix.integers(), SEED));
    }

    private void assertEmbeds(WeightMatrix table) {
        int[] ids = {10, 0, 3, 3, 7};
        Rows out = backend.rows(8, table.k());
        backend.begin(tokens(ids));
        backend.embed(backend.weight(List.of(table)), out);
        assertRows("embed " + table, ids.length, table.k(), t -> oracle.embed(table, ids[t]), access.read(out, 5));
    }

    @Test
    void embed_refuses_an_unknown_token() {
        Rows out = backend.rows(1, 13);
        backend.begin(tokens(11));
        assertThatIllegalArgumentException()
                .isThrownBy(() -> backend.embed(backend.weight(List.of(TestMatrices.e4m3(11, 13, SEED))), out))
                .withMessageContaining("11").withMessageContaining("0..10");
    }

    // Norm and row quantization.

    @Test
    void quantizes_rows_exactly() {
        int width = 113;
        float[] x = TestMatrices.bf16Values(6 * width, SEED);
        Arrays.fill(x, width, 2 * width, 0f); // a row of zeros
        for (int i = 2 * width; i < 3 * width; i++) {
            x[i] = Bf16.round(x[i] * (i % 7 == 0 ? 3e4f : 1e-3f)); // outliers push the rest into subnormals and zero
        }
        Rows rows = backend.rows(7, width);
        QuantizedRows out = backend.quantizedRows(7, width, 1);
        access.write(rows, x);
        backend.begin(tokens(new int[6]));
        backend.quantize(rows, out);
        List<Quantized> wanted = new ArrayList<>();
        for (int t = 0; t < 6; t++) {
            wanted.add(oracle.quantize(doubles(x, t, width)));
        }
        assertRows("quantize", 6, width, t -> wanted.get(t).values(), access.readValues(out, 6));
        assertRows("quantize scales", 6, 1, t -> new double[] {wanted.get(t).scale()}, access.readScales(out, 6));
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 5, 64, 257, 1030})
    void normalizes_and_quantizes_rows(int width) {
        float[] x = TestMatrices.bf16Values(7 * width, SEED);
        float[] weight = TestMatrices.bf16Values(width, SEED + 1);
        Rows rows = backend.rows(9, width);
        QuantizedRows out = backend.quantizedRows(9, width, 1);
        access.write(rows, x);
        backend.begin(tokens(new int[7]));
        backend.rmsNormQuantize(rows, backend.vector(weight), 1e-3f, out);
        float[] values = access.readValues(out, 7);
        float[] scales = access.readScales(out, 7);
        double[] wanted = new double[7 * width];
        float[] actual = new float[7 * width];
        for (int t = 0; t < 7; t++) {
            Quantized q = oracle.quantize(NumericsOracle.rmsNorm(doubles(x, t, width), weight, 1e-3f));
            Agreement.assertClose("norm scale", new double[] {q.scale()}, new float[] {scales[t]}, 1e-6, 0, 1e-6);
            for (int i = 0; i < width; i++) {
                wanted[t * width + i] = q.values()[i];
                actual[t * width + i] = values[t * width + i];
            }
        }
        Agreement.assertClose("norm", wanted, actual, E4M3_STEP, E4m3.MIN_SUBNORMAL, MEAN_ERROR);
    }

    @Test
    void quantize_lets_nan_through() {
        Rows rows = backend.rows(1, 3);
        QuantizedRows out = backend.quantizedRows(1, 3, 1);
        access.write(rows, new float[] {1, Float.NaN, 2});
        backend.begin(tokens(0));
        backend.quantize(rows, out);
        assertThat(access.readValues(out, 1)[1] * access.readScales(out, 1)[0]).isNaN();
    }

    // Linear layers.

    /** Integers: every product and sum is a float32 number, so the only roundings are the specified ones. */
    @ParameterizedTest
    @EnumSource(value = Epilogue.class, names = {"NONE", "RESIDUAL_ADD"})
    void linear_is_exact_where_sums_are(Epilogue epilogue) {
        for (int m : new int[] {1, 2, 5, 19}) {
            for (int k : new int[] {43, 128, 172, 384}) {
                int n = 37;
                byte[] packed = new byte[n * ((k + 1) / 2)];
                new Random(SEED + k).nextBytes(packed);
                byte[] scales = new byte[n * (k % 128 == 0 ? k / 128 : 1)];
                for (int i = 0; i < scales.length; i++) {
                    scales[i] = E4m3.encode(i % 3 == 0 ? 2 : i % 3 == 1 ? 1 : -4);
                }
                float[] rowScales = new float[n];
                Arrays.fill(rowScales, 0.25f);
                rowScales[3] = 2;
                Int4Matrix w = new Int4Matrix("w", n, k, k % 128 == 0 ? 128 : k, ByteBuffer.wrap(packed),
                        ByteBuffer.wrap(scales), rowScales, Int4Matrix.integers());
                float[] values = new float[m * k];
                Random random = new Random(SEED);
                for (int i = 0; i < values.length; i++) {
                    values[i] = random.nextInt(17) - 8;
                }
                float[] tokenScales = new float[m];
                Arrays.fill(tokenScales, 0.5f);
                assertLinear("m=" + m + " k=" + k, List.of(w), values, tokenScales, epilogue, 0, 0, 0, 0);
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"37, 256, 128", "50, 256, 64", "21, 160, 32", "17, 172, 172", "19, 172, 86", "5, 43, 43", "130, 384, 128",
            "33, 96, 48", "9, 640, 320", "3, 1, 1"})
    void linear_with_int4_weights(int n, int k, int groupSize) {
        for (int m : new int[] {1, 3, 4, 18}) {
            for (Epilogue epilogue : Epilogue.values()) {
                for (float[] values : List.of(Int4Matrix.integers(), TestMatrices.UNEVEN_VALUES,
                        TestMatrices.SIGNED_VALUES, TestMatrices.ODD_VALUES)) {
                    Int4Matrix w = TestMatrices.int4(n, k, groupSize, values, SEED + k);
                    Int4Matrix other = TestMatrices.int4(n, k, groupSize, values, SEED + k + 1);
                    assertLinear(m, List.of(w, other), epilogue);
                }
            }
        }
    }

    @ParameterizedTest
    @CsvSource({"37, 256", "50, 100", "21, 43", "131, 320", "1, 1"})
    void linear_with_e4m3_weights(int n, int k) {
        for (int m : new int[] {1, 3, 4, 18}) {
            for (Epilogue epilogue : Epilogue.values()) {
                assertLinear(m, List.of(TestMatrices.e4m3(n, k, SEED), TestMatrices.e4m3(n, k, SEED + 1)), epilogue);
            }
        }
    }

    @Test
    void linear_with_row_blocks_of_different_formats_and_sizes() {
        assertLinear(3, List.of(TestMatrices.int4(31, 256, 128, Int4Matrix.integers(), SEED),
                TestMatrices.e4m3(6, 256, SEED),
                TestMatrices.int4(133, 256, 64, TestMatrices.UNEVEN_VALUES, SEED + 1)), Epilogue.SILU_MUL);
    }

    private void assertLinear(int m, List<WeightMatrix> rowBlocks, Epilogue epilogue) {
        int k = rowBlocks.get(0).k();
        Random random = new Random(SEED + m);
        float[] values = new float[m * k];
        for (int i = 0; i < values.length; i++) {
            values[i] = E4m3.round((float) random.nextGaussian() * 100);
        }
        float[] scales = new float[m];
        for (int t = 0; t < m; t++) {
            scales[t] = 0.001f + random.nextFloat() * 0.01f;
        }
        assertLinear("m=" + m + " " + rowBlocks, rowBlocks, values, scales, epilogue, BF16_STEP, 1e-3, 5 * sumError(),
                Math.max(MEAN_ERROR, 2 * sumError()));
    }

    /** @param ofSum what a sum may be off, before the epilogue makes of it what it makes of the sum */
    private void assertLinear(String what, List<WeightMatrix> rowBlocks, float[] values, float[] scales,
            Epilogue epilogue, double relative, double absolute, double ofSum, double meanRelative) {
        int m = scales.length;
        int n = rowBlocks.stream().mapToInt(WeightMatrix::n).sum();
        int k = rowBlocks.get(0).k();
        int width = epilogue == Epilogue.SILU_MUL ? n / 2 : n;
        QuantizedRows x = backend.quantizedRows(m + 1, k, 1);
        Rows out = backend.rows(m + 1, width);
        float[] residual = TestMatrices.bf16Values(m * width, SEED + 9);
        access.write(x, values, scales);
        double[] wanted = new double[m * width];
        double[] slack = new double[m * width];
        for (int t = 0; t < m; t++) {
            double[] y = NumericsOracle.linear(new Quantized(doubles(values, t, k), scales[t]), rowBlocks);
            for (int i = 0; i < width; i++) {
                slack[t * width + i] = absolute
                        + ofSum * (epilogue == Epilogue.SILU_MUL ? siluMulSlope(y[i], y[width + i]) : 1);
            }
            double[] row = switch (epilogue) {
                case NONE -> oracle.none(y);
                case RESIDUAL_ADD -> oracle.residualAdd(y, doubles(residual, t, width));
                case SILU_MUL -> oracle.siluMul(y);
            };
            System.arraycopy(row, 0, wanted, t * width, width);
        }
        // A backend may store a weight differently when it knows the epilogue.
        for (Backend.Weight weight : List.of(backend.weight(rowBlocks), backend.weight(rowBlocks, epilogue))) {
            access.write(out, residual);
            backend.begin(tokens(new int[m]));
            backend.linear(x, weight, epilogue, out);
            Agreement.assertClose("linear " + epilogue + " " + what, wanted, access.read(out, m), relative, slack,
                    meanRelative);
        }
    }

    /** A bound of what an error of 1 in both sums makes of silu(gate) · up, at least 1. */
    private static double siluMulSlope(double gate, double up) {
        double sigmoid = 1 / (1 + Math.exp(-gate));
        double slope = sigmoid * (1 + gate * (1 - sigmoid));
        return Math.max(1, Math.abs(slope * up) + Math.abs(gate * sigmoid));
    }

    @Test
    void a_token_of_a_linear_layer_does_not_depend_on_the_others() {
        int k = 384;
        Backend.Weight weight = backend.weight(List.of(
                TestMatrices.int4(65, k, 128, TestMatrices.UNEVEN_VALUES, SEED), TestMatrices.e4m3(70, k, SEED)));
        Random random = new Random(SEED);
        float[] values = new float[23 * k];
        for (int i = 0; i < values.length; i++) {
            values[i] = E4m3.round((float) random.nextGaussian() * 100);
        }
        float[] scales = new float[23];
        Arrays.fill(scales, 0.003f);
        QuantizedRows x = backend.quantizedRows(23, k, 1);
        Rows out = backend.rows(23, 135);
        access.write(x, values, scales);
        backend.begin(tokens(new int[23]));
        backend.linear(x, weight, Epilogue.NONE, out);
        float[] together = access.read(out, 23);
        for (int t : new int[] {0, 7, 22}) {
            float[] token = Arrays.copyOfRange(values, t * k, (t + 1) * k);
            float[] alone = Arrays.copyOfRange(together, t * 135, (t + 1) * 135);
            float[] among = new float[values.length];
            System.arraycopy(token, 0, among, t * k, k);
            access.write(x, among, scales);
            backend.begin(tokens(new int[23]));
            backend.linear(x, weight, Epilogue.NONE, out);
            assertThat(Arrays.copyOfRange(access.read(out, 23), t * 135, (t + 1) * 135))
                    .as("token %d among others", t).containsExactly(alone);
            if (sumsHaveOneOrder()) {
                access.write(x, token, scales);
                backend.begin(tokens(0));
                backend.linear(x, weight, Epilogue.NONE, out);
                assertThat(access.read(out, 1)).as("token %d alone", t).containsExactly(alone);
            }
        }
    }

    @Test
    void linear_refuses_an_unquantized_weight_and_names_it() {
        QuantizedRows x = backend.quantizedRows(1, 13, 1);
        Rows out = backend.rows(1, 11);
        backend.begin(tokens(0));
        Backend.Weight table = backend.weight(List.of(TestMatrices.bf16(11, 13, SEED)));
        assertThatIllegalArgumentException().isThrownBy(() -> backend.linear(x, table, Epilogue.NONE, out))
                .withMessageContaining("bf16").withMessageContaining("quantize");
    }

    @Test
    void refuses_shapes_that_do_not_fit_and_names_the_numbers() {
        Backend.Weight weight = backend.weight(List.of(TestMatrices.e4m3(11, 13, SEED)));
        QuantizedRows x = backend.quantizedRows(4, 13, 1);
        backend.begin(tokens(new int[3]));
        assertThatIllegalArgumentException()
                .isThrownBy(() -> backend.linear(backend.quantizedRows(4, 12, 1), weight, Epilogue.NONE,
                        backend.rows(4, 11)))
                .withMessageContaining("12").withMessageContaining("13");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> backend.linear(x, weight, Epilogue.NONE, backend.rows(4, 10)))
                .withMessageContaining("10").withMessageContaining("11");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> backend.linear(x, weight, Epilogue.NONE, backend.rows(2, 11)))
                .withMessageContaining("capacity is 2").withMessageContaining("3 tokens");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> backend.linear(x, weight, Epilogue.SILU_MUL, backend.rows(4, 5)))
                .withMessageContaining("n=11 is odd");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> backend.weight(
                        List.of(TestMatrices.e4m3(2, 13, SEED), TestMatrices.e4m3(2, 14, SEED))))
                .withMessageContaining("k=14").withMessageContaining("k=13");
        assertThatIllegalArgumentException().isThrownBy(() -> backend.weight(List.of()));
        assertThatIllegalArgumentException().isThrownBy(() -> backend.quantizedRows(2, 13, 2))
                .withMessageContaining("width=13").withMessageContaining("groups=2");
    }

    @Test
    void refuses_positions_that_are_not_the_newest_of_their_sequence() {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> backend.begin(new Batch(new int[2], new int[] {4, 6}, new int[2], new int[] {0, 2},
                        new int[] {6}, new int[1][1], new int[0])))
                .withMessageContaining("position 6").withMessageContaining("must be 5");
    }

    // Rotation, cache and attention.

    @ParameterizedTest
    @CsvSource({"ASYMMETRIC, 6, 3, 64, 64, 16", "ASYMMETRIC, 6, 2, 8, 8, 4", "ASYMMETRIC, 4, 1, 128, 64, 16",
            "SYMMETRIC, 4, 4, 64, 32, 5", "SYMMETRIC, 2, 1, 128, 128, 1", "FLOAT32, 6, 3, 12, 12, 7",
            "ASYMMETRIC, 6, 3, 12, 6, 7"})
    void attention_over_a_ragged_batch(KvFormat.Kind kind, int nHeads, int nKvHeads, int headDim, int groupSize,
            int kvBlockSize) {
        assumeHas(kind);
        AttentionScenario scenario = new AttentionScenario(
                AttentionScenario.spec(2, nHeads, nKvHeads, headDim, 140, true, SEED), new KvFormat(kind, groupSize),
                kvBlockSize, new int[] {1, 16, 131, 17}, SEED);
        assertScenario(scenario, oracle, scenario.runWhole(backend, access), 2e-3);
    }

    @Test
    void attention_without_smoothing() {
        AttentionScenario scenario = new AttentionScenario(AttentionScenario.spec(0, 6, 3, 64, 40, false, SEED),
                new KvFormat(KvFormat.Kind.ASYMMETRIC, 64), 16, new int[] {33, 2}, SEED + 1);
        assertScenario(scenario, oracle, scenario.runWhole(backend, access), 2e-3);
    }

    @ParameterizedTest
    @CsvSource({"ASYMMETRIC, 6, 3, 64, 64, 64, true", "ASYMMETRIC, 4, 2, 128, 128, 16, false",
            "SYMMETRIC, 2, 1, 64, 32, 32, true", "ASYMMETRIC, 6, 3, 12, 6, 4, true", "FLOAT32, 2, 1, 8, 8, 2, true",
            "ASYMMETRIC, 2, 2, 8, 8, 1, false",
            "ASYMMETRIC, 4, 2, 64, 64, 1, true"})
    void attention_in_hadamard_blocks(KvFormat.Kind kind, int nHeads, int nKvHeads, int headDim, int groupSize,
            int hadamardBlock, boolean smooth) {
        assumeHas(kind);
        AttentionSpec spec = AttentionScenario.withHadamard(
                AttentionScenario.spec(1, nHeads, nKvHeads, headDim, 60, smooth, SEED), hadamardBlock);
        AttentionScenario scenario = new AttentionScenario(spec, new KvFormat(kind, groupSize), 16,
                new int[] {1, 16, 47}, SEED);
        assertScenario(scenario, oracle, scenario.runWhole(backend, access), 2e-3);
    }

    @Test
    void refuses_hadamard_blocks_that_do_not_fit_a_head() {
        AttentionSpec spec = AttentionScenario.spec(0, 2, 1, 12, 4, false, SEED);
        for (int block : new int[] {-4, 3, 8, 12, 16}) {
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> backend.attention(AttentionScenario.withHadamard(spec, block)))
                    .withMessageContaining("hadamardBlock=" + block).withMessageContaining("headDim=12");
        }
    }

    private void assertScenario(AttentionScenario scenario, NumericsOracle oracle, Results results,
            double meanRelative) {
        int nHeads = scenario.spec().nHeads();
        int headDim = scenario.spec().headDim();
        double[][][] wanted = scenario.expectedOutputs(oracle, results);
        List<double[]> allWanted = new ArrayList<>();
        List<float[]> all = new ArrayList<>();
        List<double[]> allQueries = new ArrayList<>();
        List<float[]> queries = new ArrayList<>();
        for (int s = 0; s < wanted.length; s++) {
            for (int position = 0; position < wanted[s].length; position++) {
                allWanted.add(wanted[s][position]);
                all.add(results.outputs()[s][position]);
                queries.add(results.queries()[s][position]);
                for (int h = 0; h < nHeads; h++) {
                    Quantized q = scenario.expectedQuery(oracle, s, position, h);
                    allQueries.add(q.values());
                    Agreement.assertClose("query scale", new double[] {q.scale()},
                            new float[] {results.queryScales()[s][position][h]}, 1e-6, 0, 1e-6);
                }
            }
        }
        // A query channel whose two products cancel may differ by more than a step, but by little of its head.
        Agreement.assertClose("query " + headDim, concat(allQueries), concatFloats(queries), E4M3_STEP, 0.01,
                meanRelative);
        // K codes on the edge between two values, and weights on the edge between two e4m3 numbers, may fall either way.
        Agreement.assertClose("attention", concat(allWanted), concatFloats(all), 0.02, 0.1 + 2 * weightPhaseError(),
                Math.max(meanRelative, weightPhaseError()));
    }

    @ParameterizedTest
    @EnumSource(KvFormat.Kind.class)
    void chunks_shuffled_blocks_and_batch_mates_change_nothing(KvFormat.Kind kind) {
        assumeHas(kind);
        AttentionScenario scenario = new AttentionScenario(AttentionScenario.spec(1, 6, 3, 64, 150, true, SEED),
                new KvFormat(kind, 32), 16, new int[] {70, 131, 5}, SEED + 2);
        Results whole = scenario.runWhole(backend, access);
        List<List<int[]>> schedules = List.of(
                List.of(new int[] {70, 0, 0}, new int[] {0, 131, 0}, new int[] {0, 0, 5}), // alone
                List.of(new int[] {3, 64, 1}, new int[] {13, 2, 1}, new int[] {54, 65, 3}), // in chunks
                List.of(new int[] {69, 130, 4}, new int[] {1, 1, 1})); // a last decode step
        for (List<int[]> schedule : schedules) {
            for (long blockSeed : new long[] {0, SEED}) {
                Results other = scenario.run(backend, access, schedule, blockSeed);
                String what = "%s of schedule %d, blocks %d,".formatted("%s", schedules.indexOf(schedule), blockSeed);
                Agreement.assertSame(what.formatted("query"), whole.queries(), other.queries());
                Agreement.assertSame(what.formatted("attention"), whole.outputs(), other.outputs());
            }
        }
    }

    @Test
    void attention_to_one_token_reads_back_its_rounded_value() {
        AttentionScenario scenario = new AttentionScenario(AttentionScenario.spec(0, 1, 1, 8, 1, true, SEED),
                new KvFormat(KvFormat.Kind.ASYMMETRIC, 8), 4, new int[] {1}, SEED);
        Results results = scenario.runWhole(backend, access);
        double[] wanted = scenario.expectedOutputs(oracle, results)[0][0];
        Agreement.assertClose("value", wanted, results.outputs()[0][0], BF16_STEP, 0, BF16_STEP);
    }

    @Test
    void refuses_kv_blocks_and_slots_that_do_not_exist() {
        AttentionSpec spec = AttentionScenario.spec(0, 2, 1, 8, 4, false, SEED);
        Backend.Attention attention = backend.attention(spec);
        Backend.KvCache cache =
                backend.kvCache(new KvCacheSpec(1, 1, 8, 3, 4, new KvFormat(KvFormat.Kind.ASYMMETRIC, 8)));
        Rows qkv = backend.rows(1, 32);
        QuantizedRows query = backend.quantizedRows(1, 16, 2);
        Rows out = backend.rows(1, 16);
        backend.begin(oneToken(0, 12, 0));
        assertThatIllegalArgumentException().isThrownBy(() -> backend.ropeAppendKv(qkv, attention, cache, query))
                .withMessageContaining("slot 12").withMessageContaining("0..11");
        backend.begin(oneToken(0, 0, 3));
        assertThatIllegalArgumentException().isThrownBy(() -> backend.attention(query, attention, cache, out))
                .withMessageContaining("KV block 3").withMessageContaining("0..2");
        backend.begin(oneToken(4, 0, 0));
        assertThatIllegalArgumentException().isThrownBy(() -> backend.ropeAppendKv(qkv, attention, cache, query))
                .withMessageContaining("position 4").withMessageContaining("0..3");
    }

    // Logits.

    @Test
    void logits_of_chosen_rows_are_not_rounded() {
        int width = 256;
        for (WeightMatrix head : List.of(TestMatrices.e4m3(301, width, SEED),
                TestMatrices.int4(301, width, 128, Int4Matrix.integers(), SEED))) {
            float[] x = TestMatrices.bf16Values(5 * width, SEED);
            float[] weight = TestMatrices.bf16Values(width, SEED + 1);
            Rows hidden = backend.rows(6, width);
            access.write(hidden, x);
            Batch batch = new Batch(new int[5], new int[] {0, 1, 2, 0, 1}, new int[5], new int[] {0, 3, 5},
                    new int[] {3, 2}, new int[2][1], new int[] {2, 4});
            backend.begin(batch);
            Logits logits = backend.logits(hidden, backend.vector(weight), 1e-5f, backend.weight(List.of(head)));
            for (int i = 0; i < 2; i++) {
                Quantized q = oracle.quantize(
                        NumericsOracle.rmsNorm(doubles(x, batch.logitRows()[i], width), weight, 1e-5f));
                double[] wanted = NumericsOracle.linear(q, List.of(head));
                float[] actual = new float[301];
                logits.copyRow(i, actual);
                double largest = Arrays.stream(wanted).map(Math::abs).max().orElseThrow();
                Agreement.assertClose("logits " + head, wanted, actual, 0, 2 * sumError() * largest,
                        sumError());
            }
            assertThatIllegalStateException().isThrownBy(logits::sample).withMessageContaining("samplers");
            backend.begin(batch);
            assertThatIllegalStateException().isThrownBy(() -> logits.copyRow(0, new float[301]));
            assertThatIllegalStateException().isThrownBy(logits::sample);
        }
    }

    /** Decode steps of four sequences that draw in different ways: each gets what its sampler draws from its logits. */
    @Test
    void draws_what_the_samplers_draw_from_its_logits() {
        int width = 256;
        int vocabSize = 1013;
        Rows hidden = backend.rows(4, width);
        Vector norm = backend.vector(TestMatrices.bf16Values(width, SEED + 1));
        Weight head = backend.weight(List.of(TestMatrices.e4m3(vocabSize, width, SEED)));
        Sampler[] samplers = {
            Sampler.greedy(),
            new Sampler(new SamplingParams(0.8f, 40, 0.9f, 0, 1, 0, 0, OptionalLong.of(7)), 0, new int[0], vocabSize),
            new Sampler(new SamplingParams(2, 0, 0.99f, 0.01f, 1.3f, 0.2f, 0.1f, OptionalLong.of(8)), 0,
                    new int[] {3, 1012, 3}, vocabSize),
            new Sampler(new SamplingParams(1, 0, 1, 0, 1, 0, 0.5f, OptionalLong.of(9)), 0, new int[] {4}, vocabSize)};
        Set<Integer> drawn = new HashSet<>();
        for (int step = 0; step < 8; step++) {
            access.write(hidden, TestMatrices.bf16Values(4 * width, SEED + step));
            int[] tokens = {};
            for (int nSeqs : new int[] {3, 4}) { // the last one comes and changes nothing for the others
                int[] rows = IntStream.range(0, nSeqs).toArray();
                backend.begin(new Batch(new int[nSeqs], new int[nSeqs], new int[nSeqs],
                        IntStream.rangeClosed(0, nSeqs).toArray(), IntStream.generate(() -> 1).limit(nSeqs).toArray(),
                        new int[nSeqs][1], rows, Arrays.copyOf(samplers, nSeqs)));
                Logits logits = backend.logits(hidden, norm, 1e-5f, head);
                int[] actual = logits.sample();
                for (int i = 0; i < nSeqs; i++) {
                    float[] row = new float[vocabSize];
                    logits.copyRow(i, row);
                    assertThat(actual[i]).as("step %d, sequence %d of %d", step, i, nSeqs)
                            .isEqualTo(samplers[i].sample(row)).isBetween(0, vocabSize - 1);
                }
                tokens = actual;
            }
            for (int i = 0; i < samplers.length; i++) {
                samplers[i].accept(tokens[i]);
                drawn.add(tokens[i]);
            }
        }
        assertThat(drawn).hasSizeGreaterThan(10);
    }

    // float32 mode.

    @Test
    void float32_mode_rounds_nothing() {
        assumeTrue(hasFloat32(), "this backend has no float32 mode");
        try (Backend float32 = open(Numerics.FLOAT32)) {
            int k = 172;
            int n = 134;
            float[] x = new float[3 * k];
            Random random = new Random(SEED);
            for (int i = 0; i < x.length; i++) {
                x[i] = (float) random.nextGaussian();
            }
            WeightMatrix w = TestMatrices.float32(n, k, SEED);
            Backend.Weight weight = float32.weight(List.of(w));
            float[] norm = TestMatrices.bf16Values(k, SEED);
            Rows rows = float32.rows(3, k);
            QuantizedRows q = float32.quantizedRows(3, k, 1);
            Rows out = float32.rows(3, n / 2);
            access.write(rows, x);
            float32.begin(tokens(new int[3]));
            float32.rmsNormQuantize(rows, float32.vector(norm), 1e-5f, q);
            float32.linear(q, weight, Epilogue.SILU_MUL, out);
            double[] wanted = new double[3 * n / 2];
            for (int t = 0; t < 3; t++) {
                Quantized normed = exact.quantize(NumericsOracle.rmsNorm(doubles(x, t, k), norm, 1e-5f));
                System.arraycopy(exact.siluMul(NumericsOracle.linear(normed, List.of(w))), 0, wanted, t * n / 2, n / 2);
            }
            Agreement.assertClose("float32 linear", wanted, access.read(out, 3), 1e-5, 2e-4, 1e-6);

            Rows embedded = float32.rows(3, k);
            float32.begin(tokens(5, 133, 0));
            float32.embed(weight, embedded);
            int[] ids = {5, 133, 0};
            assertRows("float32 embed", 3, k, t -> exact.embed(w, ids[t]), access.read(embedded, 3));

            AttentionScenario scenario = new AttentionScenario(AttentionScenario.spec(0, 6, 3, 12, 80, true, SEED),
                    new KvFormat(KvFormat.Kind.FLOAT32, 12), 7, new int[] {70, 1, 15}, SEED);
            assertScenario(scenario, exact, scenario.runWhole(float32, access), 1e-6);

            assertThatIllegalArgumentException()
                    .isThrownBy(() -> float32.kvCache(
                            new KvCacheSpec(1, 1, 8, 1, 4, new KvFormat(KvFormat.Kind.SYMMETRIC, 8))))
                    .withMessageContaining("SYMMETRIC");
        }
    }

    // Helpers.

    private static Batch tokens(int... ids) {
        int n = ids.length;
        return new Batch(ids, IntStream.range(0, n).toArray(), new int[n], new int[] {0, n}, new int[] {n},
                new int[1][1], new int[0]);
    }

    private static Batch oneToken(int position, int slot, int block) {
        int[] blocks = new int[position / 4 + 1];
        Arrays.fill(blocks, block);
        return new Batch(new int[1], new int[] {position}, new int[] {slot}, new int[] {0, 1},
                new int[] {position + 1}, new int[][] {blocks}, new int[0]);
    }

    private static double[] doubles(float[] values, int row, int width) {
        return IntStream.range(row * width, (row + 1) * width).mapToDouble(i -> values[i]).toArray();
    }

    private static void assertRows(String what, int nRows, int width, java.util.function.IntFunction<double[]> wanted,
            float[] actual) {
        double[] all = new double[nRows * width];
        for (int t = 0; t < nRows; t++) {
            System.arraycopy(wanted.apply(t), 0, all, t * width, width);
        }
        Agreement.assertExact(what, all, actual);
    }

    private static double[] concat(List<double[]> rows) {
        return rows.stream().flatMapToDouble(Arrays::stream).toArray();
    }

    private static float[] concatFloats(List<float[]> rows) {
        float[] all = new float[rows.stream().mapToInt(r -> r.length).sum()];
        int at = 0;
        for (float[] row : rows) {
            System.arraycopy(row, 0, all, at, row.length);
            at += row.length;
        }
        return all;
    }
}
