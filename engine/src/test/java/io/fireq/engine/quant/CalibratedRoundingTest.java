package io.fireq.engine.quant;

import static org.assertj.core.api.Assertions.assertThat;

import io.fireq.engine.api.EngineOptions.CpuKernelChoice;
import io.fireq.engine.quant.OutputCorrection.Reference;
import io.fireq.engine.tensor.Int4Matrix;
import io.fireq.engine.tensor.WeightMatrix;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** Rounding with known inputs: what counts is the error of the outputs, which the test works out by itself. */
class CalibratedRoundingTest {
    private static final int N = 24;
    private static final int K = 96;
    private static final int TOKENS = 3000;
    private static final int GROUP = 32;

    private final Random random = new Random(11);
    private MatrixMath math;

    MatrixMath openMath() {
        return CpuMatrixMath.create(2, CpuKernelChoice.AUTO);
    }

    @BeforeEach
    void open() {
        math = openMath();
    }

    @AfterEach
    void close() {
        math.close();
    }

    @Test
    void gptq_has_a_smaller_output_error_than_rounding_each_weight_by_itself() {
        float[] weights = gaussian(N * K, 0.05);
        float[] x = correlated();
        double plain = outputError(weights, round(weights, x, Part.NORMAL_LEVELS), x);
        double gptq = outputError(weights, round(weights, x, Part.NORMAL_LEVELS, Part.GPTQ), x);
        assertThat(gptq).isLessThan(0.7 * plain);
    }

    @Test
    void refinement_makes_no_output_worse() {
        for (double damping : new double[] {0.01, 0.1}) {
            float[] weights = gaussian(N * K, 0.05);
            float[] x = correlated();
            double gptq = outputError(weights, round(weights, x, damping, Part.GPTQ), x);
            double refined = outputError(weights, round(weights, x, damping, Part.GPTQ, Part.REFINEMENT), x);
            assertThat(refined).isLessThan(gptq);
            double plain = outputError(weights, round(weights, x, damping), x);
            double plainRefined = outputError(weights, round(weights, x, damping, Part.REFINEMENT), x);
            assertThat(plainRefined).isLessThan(plain);
        }
    }

    @Test
    void the_table_is_the_better_one() {
        float[] x = correlated();
        float[] normal = gaussian(N * K, 0.05);
        assertThat(round(normal, x, Part.NORMAL_LEVELS).values()).isEqualTo(CodeTable.NORMAL.levels());
        float[] integers = new float[N * K]; // on that grid, but for e4m3's rounding of the products
        for (int i = 0; i < integers.length; i++) {
            integers[i] = i % GROUP == 0 ? 7 : random.nextInt(15) - 7;
        }
        Int4Matrix exact = round(integers, x, Part.NORMAL_LEVELS);
        assertThat(exact.values()).isEqualTo(CodeTable.INTEGERS.levels());
        assertThat(outputError(integers, exact, x)).isLessThan(1e-3 * outputError(integers, zeros(), x));
        assertThat(round(normal, x).values()).as("without the part").isEqualTo(CodeTable.INTEGERS.levels());
    }

    @Test
    void activation_order_keeps_the_columns_of_a_group_together() {
        float[] weights = gaussian(N * K, 0.05);
        float[] x = correlated();
        for (int i = 0; i < weights.length; i++) {
            double factor = Math.pow(30, i % K / GROUP); // a scale that belongs to another group is off by 30
            weights[i] = (float) (weights[i] * factor);
        }
        for (int i = 0; i < x.length; i++) {
            x[i] *= i % 5 + 1; // the order within the groups is another
        }
        Int4Matrix ordered = round(weights, x, Part.GPTQ, Part.ACTIVATION_ORDER);
        assertThat(ordered).isNotEqualTo(round(weights, x, Part.GPTQ));
        for (int group = 0; group < K / GROUP; group++) {
            double signal = 0;
            double noise = 0;
            for (int row = 0; row < N; row++) {
                for (int column = group * GROUP; column < (group + 1) * GROUP; column++) {
                    float weight = weights[row * K + column];
                    signal += weight * weight;
                    noise += Math.pow(weight - ordered.get(row, column), 2);
                }
            }
            assertThat(10 * Math.log10(signal / noise)).as("dB of group %d", group).isGreaterThan(12);
        }
        assertThat(outputError(weights, ordered, x)).isLessThan(outputError(weights, round(weights, x), x));
    }

    @Test
    void matrices_with_one_input_share_a_table() {
        float[] x = correlated();
        List<LayerRounding.Rounded> rounded = rounding(0.1, Part.NORMAL_LEVELS, Part.GPTQ).round(List.of("a", "b"),
                matrices(gaussian(N * K, 0.05), gaussian(N * K, 0.5)), moments(x, null, 0));
        assertThat(rounded.get(0).matrix().values()).isEqualTo(rounded.get(1).matrix().values());
        assertThat(rounded).extracting(r -> r.matrix().name()).containsExactly("a", "b");
    }

    @Test
    void a_channel_without_input_and_a_group_without_weights_are_no_obstacle() {
        float[] weights = gaussian(N * K, 0.05);
        float[] x = correlated();
        for (int row = 0; row < N; row++) {
            for (int column = GROUP; column < 2 * GROUP; column++) {
                weights[row * K + column] = 0;
            }
        }
        for (int t = 0; t < TOKENS; t++) {
            x[t * K + 3] = 0;
        }
        Int4Matrix rounded = round(weights, x, Part.GPTQ, Part.REFINEMENT, Part.NORMAL_LEVELS);
        requireFinite(rounded);
        assertThat(outputError(weights, rounded, x)).isLessThan(0.02 * outputError(weights, zeros(), x));
        requireFinite(round(weights, new float[TOKENS * K], Part.GPTQ, Part.REFINEMENT));
        requireFinite(round(new float[N * K], x, Part.GPTQ, Part.REFINEMENT));
    }

    @Test
    void one_token_says_little_and_does_no_harm() {
        float[] weights = gaussian(N * K, 0.05);
        float[] x = gaussian(K, 1);
        Moments moments = new Moments(math, K, 0);
        moments.add(x, null, 1, false);
        Int4Matrix rounded = rounding(0.1, Part.GPTQ, Part.REFINEMENT).round(List.of("w"), matrices(weights), moments)
                .get(0).matrix();
        requireFinite(rounded);
        assertThat(Sqnr.decibels(weights, rounded)).isGreaterThan(15);
    }

    @Test
    void correction_makes_good_what_the_input_lacks() {
        float[] weights = gaussian(N * K, 0.05);
        float[] wanted = correlated();
        float[] actual = wanted.clone();
        for (int i = 0; i < actual.length; i++) {
            actual[i] *= i % K % 2 == 0 ? 0.8f : 1.1f; // linear: can be put right by the weights
        }
        Result byInput = correct(weights, moments(actual, wanted, K), Reference.INPUT);
        assertThat(byInput.pull()).isFinite();
        double before = difference(weights, actual, weights, wanted);
        assertThat(difference(byInput.weights(), actual, weights, wanted)).isLessThan(0.1 * before);

        float[] outputs = product(wanted, weights);
        Result byOutput = correct(weights, moments(actual, outputs, N), Reference.OUTPUT);
        assertThat(difference(byOutput.weights(), actual, weights, wanted)).isLessThan(0.1 * before);
    }

    @Test
    void correction_leaves_weights_that_noise_alone_could_change() {
        float[] weights = gaussian(N * K, 0.05);
        float[] x = correlated();
        Result same = correct(weights, moments(x, x, K), Reference.INPUT);
        assertThat(difference(same.weights(), x, weights, x)).isLessThan(1e-6 * energy(product(x, weights)));
        // Eight tokens cannot tell what 96 weights should be: none are held out here, so nothing is judged.
        Moments few = new Moments(math, K, K);
        few.add(x, gaussian(8 * K, 1), 8, false);
        Result kept = correct(weights, few, Reference.INPUT);
        assertThat(kept.pull()).isInfinite();
        assertThat(kept.weights()).isEqualTo(weights);
    }

    private Int4Matrix round(float[] weights, float[] x, Part... parts) {
        return round(weights, x, 0.01, parts);
    }

    private Int4Matrix round(float[] weights, float[] x, double damping, Part... parts) {
        return rounding(damping, parts).round(List.of("w"), matrices(weights), moments(x, null, 0)).get(0).matrix();
    }

    private List<Matrix> matrices(float[]... weights) {
        return Arrays.stream(weights).map(w -> math.upload(w, K)).toList();
    }

    private record Result(float[] weights, double pull) {}

    private Result correct(float[] weights, Moments moments, Reference reference) {
        List<Matrix> corrected = matrices(weights);
        double pull = new OutputCorrection(math).correct(corrected, moments, reference);
        return new Result(math.download(corrected.get(0)), pull);
    }

    private LayerRounding rounding(double damping, Part... parts) {
        QuantizerOptions.Builder options = QuantizerOptions.builder().groupSize(GROUP).damping(damping);
        for (Part part : Part.values()) {
            options.without(part);
        }
        for (Part part : parts) {
            options.with(part);
        }
        return new LayerRounding(math, options.build());
    }

    /** Every eighth part is held out. */
    private Moments moments(float[] x, float[] reference, int nReference) {
        Moments moments = new Moments(math, K, nReference);
        int part = TOKENS / 8;
        for (int i = 0; i < 8; i++) {
            float[] rows = Arrays.copyOfRange(x, i * part * K, (i + 1) * part * K);
            float[] wanted = nReference == 0 ? null
                    : Arrays.copyOfRange(reference, i * part * nReference, (i + 1) * part * nReference);
            moments.add(rows, wanted, part, i == 7);
        }
        return moments;
    }

    /** {@code [TOKENS, K]}: channels go together, and some are ten times as large as others. */
    private float[] correlated() {
        float[] mixing = gaussian(12 * K, 1);
        float[] x = new float[TOKENS * K];
        for (int t = 0; t < TOKENS; t++) {
            float[] hidden = gaussian(12, 1);
            for (int j = 0; j < K; j++) {
                double sum = 0.5 * random.nextGaussian();
                for (int h = 0; h < 12; h++) {
                    sum += hidden[h] * mixing[h * K + j];
                }
                x[t * K + j] = (float) (j % 17 == 0 ? 10 * sum : sum);
            }
        }
        return x;
    }

    private float[] gaussian(int count, double sd) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = (float) (sd * random.nextGaussian());
        }
        return values;
    }

    private static Int4Matrix zeros() {
        return new Int4Packer(N, K, GROUP).build("zeros", Int4Matrix.integers());
    }

    private static double outputError(float[] weights, WeightMatrix rounded, float[] x) {
        float[] other = new float[N * K];
        for (int i = 0; i < other.length; i++) {
            other[i] = rounded.get(i / K, i % K);
        }
        return difference(weights, x, other, x);
    }

    /** Σ over tokens and outputs of (x1·w1 − x2·w2)². */
    private static double difference(float[] w1, float[] x1, float[] w2, float[] x2) {
        float[] a = product(x1, w1);
        float[] b = product(x2, w2);
        for (int i = 0; i < a.length; i++) {
            a[i] -= b[i];
        }
        return energy(a);
    }

    private static double energy(float[] values) {
        double energy = 0;
        for (float value : values) {
            energy += (double) value * value;
        }
        return energy;
    }

    /** {@code x · wᵀ}, [TOKENS, N]. */
    private static float[] product(float[] x, float[] w) {
        float[] y = new float[TOKENS * N];
        for (int t = 0; t < TOKENS; t++) {
            for (int row = 0; row < N; row++) {
                double sum = 0;
                for (int j = 0; j < K; j++) {
                    sum += (double) x[t * K + j] * w[row * K + j];
                }
                y[t * N + row] = (float) sum;
            }
        }
        return y;
    }

    private static void requireFinite(WeightMatrix matrix) {
        for (int i = 0; i < N * K; i++) {
            assertThat(matrix.get(i / K, i % K)).isFinite();
        }
    }
}
