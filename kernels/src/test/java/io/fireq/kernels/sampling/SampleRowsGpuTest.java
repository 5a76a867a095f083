package io.fireq.kernels.sampling;

import static org.assertj.core.api.Assertions.assertThat;

import io.fireq.kernels.cuda.DeviceBuffer;
import io.fireq.kernels.sampling.SampleRowsOracle.Penalty;
import io.fireq.kernels.testing.Gpu;
import io.fireq.kernels.testing.GpuTest;
import io.fireq.kernels.testing.Seeded;
import java.nio.IntBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Token by token what the oracle draws: the definition leaves nothing to the order of sums. */
@GpuTest
class SampleRowsGpuTest {
    private static final float[] TEMPERATURES = {0, 0.3f, 0.7f, 1, 2, Float.MIN_VALUE, 1e30f};
    private static final float[] TOP_PS = {1, 1, 0.95f, 0.5f, 0.01f, 1e-9f};
    private static final float[] MIN_PS = {0, 0, 0.05f, 0.9f};

    /** 20 rows are more than have an SM for each CTA; 500,000 tokens do not fit shared memory. */
    @ParameterizedTest
    @CsvSource({"1, 1", "16, 7", "17, 301", "20, 1023", "13, 32000", "17, 64000", "20, 128256", "3, 500000"})
    void draws_what_the_oracle_draws(int nRows, int width) {
        Seeded random = Seeded.fresh("sample_rows");
        List<List<Penalty>> penalties = new ArrayList<>();
        SamplingRow[] rows = new SamplingRow[nRows];
        int nPenalties = 0;
        for (int t = 0; t < nRows; t++) {
            List<Penalty> ofRow = t % 3 == 1 ? penalties(random, width) : List.of();
            int[] topKs = {0, 0, 1, 2, 40, width, width + 1};
            rows[t] = new SamplingRow((long) random.below(1 << 30) * 7_777_777_777L, random.below(5000),
                    pick(random, TEMPERATURES), topKs[random.below(topKs.length)], pick(random, TOP_PS),
                    pick(random, MIN_PS), 1.2f, 0.3f, 0.1f, nPenalties, ofRow.size());
            penalties.add(ofRow);
            nPenalties += ofRow.size();
        }
        float[] logits = logits(random, nRows, width);
        int[] expected = new int[nRows];
        for (int t = 0; t < nRows; t++) {
            expected[t] = SampleRowsOracle.sample(Arrays.copyOfRange(logits, t * width, (t + 1) * width), rows[t],
                    penalties.get(t));
        }
        try (Gpu gpu = Gpu.open()) {
            DeviceBuffer x = gpu.upload("logits", logits);
            DeviceBuffer out = gpu.empty("out", 4L * nRows);
            SampleRows kernel = new SampleRows(gpu.context());
            DeviceBuffer parameters = gpu.upload("rows", ints(rows));
            DeviceBuffer list = gpu.upload("penalties", ints(penalties));
            kernel.launch(gpu.stream(), x, parameters, list, nRows, width, out);
            gpu.finish();
            assertThat(ints(gpu.floats(out))).as("%s, rows %s", random, Arrays.toString(rows)).isEqualTo(expected);
            if (width < 500_000) {
                assertThat(gpu.floats(x)).as("logits").isEqualTo(logits);
                out.fillAsync(gpu.stream(), (byte) 0x55);
                kernel.launch(gpu.stream(), x, parameters, list, nRows, width, out);
                gpu.finish();
                assertThat(ints(gpu.floats(out))).as("once more").isEqualTo(expected);
            }
        }
    }

    /** Rows of all kinds: smooth, of few different values, all equal, with infinities, and no numbers at all. */
    private static float[] logits(Seeded random, int nRows, int width) {
        float[] logits = random.floats(nRows * width, 0, 4);
        for (int t = 0; t < nRows; t++) {
            int from = t * width;
            switch (t % 10) {
                case 2 -> {
                    for (int i = from; i < from + width; i++) {
                        logits[i] = Math.round(logits[i]);
                    }
                }
                case 3 -> Arrays.fill(logits, from, from + width, -3f);
                case 4 -> {
                    for (int i = from; i < from + width; i += 2) {
                        logits[i] = i % 4 == 0 ? Float.NEGATIVE_INFINITY : -0f;
                    }
                }
                case 5 -> logits[from + random.below(width)] = Float.NaN;
                case 6 -> logits[from + random.below(width)] = Float.POSITIVE_INFINITY;
                case 7 -> Arrays.fill(logits, from, from + width, Float.NEGATIVE_INFINITY);
                case 8 -> Arrays.fill(logits, from, from + width, Float.NaN);
                default -> { }
            }
        }
        return logits;
    }

    private static List<Penalty> penalties(Seeded random, int width) {
        int[] tokens = random.permutation(width);
        List<Penalty> penalties = new ArrayList<>();
        for (int i = 0; i < Math.min(3000, 1 + random.below(width)); i++) {
            penalties.add(new Penalty(tokens[i], random.below(4)));
        }
        return penalties;
    }

    private static float pick(Seeded random, float[] values) {
        return values[random.below(values.length)];
    }

    private static int[] ints(SamplingRow[] rows) {
        int[] ints = new int[rows.length * SamplingRow.INTS];
        for (int t = 0; t < rows.length; t++) {
            rows[t].write(IntBuffer.wrap(ints), t * SamplingRow.INTS);
        }
        return ints;
    }

    /** One entry more than there are, since a buffer holds at least one byte. */
    private static int[] ints(List<List<Penalty>> penalties) {
        List<Penalty> all = penalties.stream().flatMap(List::stream).toList();
        int[] ints = new int[(all.size() + 1) * SamplingRow.PENALTY_INTS];
        for (int i = 0; i < all.size(); i++) {
            ints[2 * i] = all.get(i).token();
            ints[2 * i + 1] = all.get(i).count();
        }
        return ints;
    }

    private static int[] ints(float[] bits) {
        int[] ints = new int[bits.length];
        for (int i = 0; i < bits.length; i++) {
            ints[i] = Float.floatToRawIntBits(bits[i]);
        }
        return ints;
    }
}
