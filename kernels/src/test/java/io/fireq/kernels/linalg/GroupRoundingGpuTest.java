package io.fireq.kernels.linalg;

import static org.assertj.core.api.Assertions.assertThat;

import io.fireq.kernels.cuda.DeviceBuffer;
import io.fireq.kernels.testing.Comparer;
import io.fireq.kernels.testing.Gpu;
import io.fireq.kernels.testing.GpuTest;
import io.fireq.kernels.testing.Seeded;
import java.util.Arrays;
import java.util.stream.IntStream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@GpuTest
class GroupRoundingGpuTest {
    private static final float[] LEVELS = {-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7};
    private static final int[] CODE_OF = {8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7};
    /** How much worse than the best a scale may be that the order of additions has preferred. */
    private static final double TIE = 1e-5;

    /** A weight on the device and what the oracle makes of it. */
    private static final class Fixture {
        private final Gpu gpu;
        private final Seeded random;
        private final int n;
        private final int k;
        private final int groupSize;
        private final float[] weights;
        private final float[] rowScale;
        private final float[] rest;
        private final RoundedWeight device;
        private final GroupRoundingOracle oracle;
        private final GroupRounding kernels;

        Fixture(Gpu gpu, Seeded random, int n, int k, int groupSize) {
            this.gpu = gpu;
            this.random = random;
            this.n = n;
            this.k = k;
            this.groupSize = groupSize;
            weights = random.floats(n * k, 0, 0.02);
            Arrays.fill(weights, 0, groupSize, 0); // a dead group
            weights[n * k - 1] = 1; // and an outlier
            rowScale = new float[n];
            rest = new float[n * k];
            for (int row = 0; row < n; row++) {
                float absmax = 0;
                for (int i = row * k; i < (row + 1) * k; i++) {
                    absmax = Math.max(absmax, Math.abs(weights[i]));
                }
                rowScale[row] = absmax > 0 ? absmax / 392 : 1;
                for (int i = row * k; i < (row + 1) * k; i++) {
                    rest[i] = weights[i] / rowScale[row];
                }
            }
            device = new RoundedWeight(F32GemmGpuTest.matrix(gpu, "weights", weights, n, k), groupSize,
                    gpu.upload("rowScales", rowScale), gpu.empty("scales", (long) n * (k / groupSize)),
                    DeviceMatrix.of(gpu.empty("rounded", 4L * n * k), n, k), gpu.empty("codes", (long) n * k),
                    gpu.upload("levels", LEVELS), gpu.upload("codeOf", CODE_OF));
            oracle = new GroupRoundingOracle(LEVELS, CODE_OF, n, k, groupSize);
            kernels = new GroupRounding(gpu.context());
        }

        void compare() {
            Comparer.identical("scales, " + random, new int[] {n, k / groupSize}, gpu.bytes(device.scales()),
                    oracle.scales());
            Comparer.identical("codes, " + random, new int[] {n, k}, gpu.bytes(device.codes()), oracle.codes());
            assertThat(gpu.floats(device.rounded().values())).as("rounded, " + random).containsExactly(oracle.rounded());
        }

        void requireGoodScale(float[] group, float[] importance, byte chosen) {
            double best = oracle.error(group, importance, oracle.bestScale(group, importance));
            assertThat(oracle.error(group, importance, chosen)).as("error, " + random).isLessThanOrEqualTo(
                    best * (1 + TIE));
        }
    }

    @ParameterizedTest
    @CsvSource({"1, 16, 16", "7, 96, 32", "33, 256, 128", "5, 172, 172"})
    void rounds_each_weight_by_itself(int n, int k, int groupSize) {
        Seeded random = Seeded.fresh("round_group");
        try (Gpu gpu = Gpu.open()) {
            Fixture f = new Fixture(gpu, random, n, k, groupSize);
            float[] importance = random.floats(k, 2, 0.3);
            DeviceMatrix rest = DeviceMatrix.of(gpu.empty("rest", 4L * n * k), n, k);
            f.kernels.scaled(gpu.stream(), f.device, null, rest);
            f.kernels.round(gpu.stream(), f.device, rest, gpu.upload("importance", importance));
            DeviceBuffer packed = gpu.empty("packed", (long) n * ((k + 1) / 2));
            f.kernels.pack(gpu.stream(), f.device, packed);
            DeviceBuffer errors = gpu.empty("errors", 16L * n);
            f.kernels.errors(gpu.stream(), f.device, errors);
            DeviceMatrix differences = DeviceMatrix.of(gpu.empty("differences", 4L * n * k), n, k);
            f.kernels.differences(gpu.stream(), f.device, differences);
            gpu.finish();
            assertThat(gpu.floats(rest.values())).containsExactly(f.rest);
            byte[] scales = gpu.bytes(f.device.scales());
            for (int i = 0; i < scales.length; i++) {
                int from = i % (k / groupSize) * groupSize;
                int at = i / (k / groupSize) * k + from;
                f.requireGoodScale(Arrays.copyOfRange(f.rest, at, at + groupSize),
                        Arrays.copyOfRange(importance, from, from + groupSize), scales[i]);
            }
            f.oracle.round(f.rest, scales, importance);
            f.compare();
            Comparer.identical("packed, " + random, new int[] {n, (k + 1) / 2}, gpu.bytes(packed), f.oracle.packed());
            double[] expected = f.oracle.errors(f.weights, f.rowScale);
            double[] bound = new double[expected.length];
            Arrays.setAll(bound, i -> i % 2 == 1 ? 0 : 1e-9 * expected[i] + 1e-30);
            Comparer.close("errors, " + random, new int[] {n, 2}, MatrixOpsGpuTest.doubles(gpu, errors), expected, bound);
            float[] rounded = f.oracle.rounded();
            float[] expectedDifferences = new float[n * k];
            for (int i = 0; i < n * k; i++) {
                expectedDifferences[i] = f.rest[i] - rounded[i];
            }
            assertThat(gpu.floats(differences.values())).containsExactly(expectedDifferences);
        }
    }

    @ParameterizedTest
    @CsvSource({"1, 16, 16", "7, 96, 32", "33, 256, 128", "5, 172, 172"})
    void takes_errors_back_from_the_columns_behind(int n, int k, int groupSize) {
        Seeded random = Seeded.fresh("round_group feedback");
        try (Gpu gpu = Gpu.open()) {
            Fixture f = new Fixture(gpu, random, n, k, groupSize);
            float[] triangle = random.floats(k * k, 0, 0.05);
            for (int i = 0; i < k; i++) {
                triangle[i * k + i] = random.uniform(0.5f, 2);
            }
            int[] order = order(random, k, groupSize);
            float[] rest = new float[n * k];
            for (int i = 0; i < rest.length; i++) {
                rest[i] = f.rest[i / k * k + order[i % k]];
            }
            DeviceMatrix deviceRest = DeviceMatrix.of(gpu.empty("rest", 4L * n * k), n, k);
            DeviceBuffer deviceOrder = gpu.upload("order", order);
            DeviceMatrix changes = DeviceMatrix.of(gpu.empty("changes", 4L * n * groupSize), n, groupSize);
            DeviceMatrix deviceTriangle = F32GemmGpuTest.matrix(gpu, "triangle", triangle, k, k);
            f.kernels.scaled(gpu.stream(), f.device, deviceOrder, deviceRest);
            for (int group = 0; group < k / groupSize; group++) {
                f.kernels.roundWithFeedback(gpu.stream(), f.device, deviceRest, deviceTriangle, deviceOrder, group,
                        changes);
                gpu.finish();
                byte[] all = gpu.bytes(f.device.scales());
                byte[] chosen = new byte[n];
                int from = group * groupSize;
                float[] importance = new float[groupSize];
                for (int j = 0; j < groupSize; j++) {
                    float pivot = triangle[(from + j) * k + from + j];
                    importance[j] = 1 / (pivot * pivot);
                }
                for (int row = 0; row < n; row++) {
                    chosen[row] = all[row * (k / groupSize) + order[from] / groupSize];
                    f.requireGoodScale(Arrays.copyOfRange(rest, row * k + from, row * k + from + groupSize), importance,
                            chosen[row]);
                }
                float[] expected = f.oracle.roundWithFeedback(rest, triangle, order, group, chosen);
                assertThat(gpu.floats(changes.values())).as("changes, " + random).containsExactly(expected);
            }
            f.compare();
        }
    }

    @ParameterizedTest
    @CsvSource({"1, 16, 16", "7, 96, 32", "33, 256, 128", "5, 172, 172"})
    void sweeps_over_a_group(int n, int k, int groupSize) {
        Seeded random = Seeded.fresh("refine_group");
        try (Gpu gpu = Gpu.open()) {
            Fixture f = new Fixture(gpu, random, n, k, groupSize);
            float[] ones = new float[k];
            Arrays.fill(ones, 1);
            DeviceMatrix rest = F32GemmGpuTest.matrix(gpu, "rest", f.rest, n, k);
            f.kernels.round(gpu.stream(), f.device, rest, null);
            gpu.finish();
            f.oracle.round(f.rest, gpu.bytes(f.device.scales()), ones);
            float[] gram = random.floats(k * k, 0, 0.1);
            for (int i = 0; i < k; i++) {
                gram[i * k + i] = random.uniform(1, 3);
            }
            float[] gradient = random.floats(n * k, 0, 20);
            DeviceMatrix deviceGram = F32GemmGpuTest.matrix(gpu, "gram", gram, k, k);
            DeviceMatrix deviceGradient = F32GemmGpuTest.matrix(gpu, "gradient", gradient, n, k);
            DeviceMatrix changes = DeviceMatrix.of(gpu.empty("changes", 4L * n * groupSize), n, groupSize);
            for (int group = 0; group < k / groupSize; group++) {
                f.kernels.refine(gpu.stream(), f.device, deviceGradient, deviceGram, group, changes);
                gpu.finish();
                float[] actual = gpu.floats(changes.values());
                float[] expected = f.oracle.refine(gradient, gram, group);
                for (int i = 0; i < expected.length; i++) { // -0 and 0 are one here
                    assertThat(actual[i] == expected[i]).as("change %d: %s, expected %s; %s", i, actual[i], expected[i],
                            random).isTrue();
                }
            }
            f.compare();
        }
    }

    /** Groups in random order, and the columns inside of each. */
    private static int[] order(Seeded random, int k, int groupSize) {
        int[] groups = random.permutation(k / groupSize);
        return IntStream.of(groups).flatMap(group ->
                IntStream.of(random.permutation(groupSize)).map(j -> group * groupSize + j)).toArray();
    }
}
