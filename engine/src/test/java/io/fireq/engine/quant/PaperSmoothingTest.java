package io.fireq.engine.quant;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.fireq.engine.quant.calibration.Observation;
import io.fireq.engine.quant.calibration.Place;
import io.fireq.engine.quant.smoothing.BlockWeights;
import io.fireq.engine.quant.smoothing.ChannelScales;
import io.fireq.engine.tensor.Bf16;
import java.util.Arrays;
import java.util.stream.IntStream;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;

/** The paper's formulas, on the first layer of the test model: 4 heads of 8 channels for K and V, 2 queries each. */
class PaperSmoothingTest {
    private static final int[] TOKENS = IntStream.range(0, 60).map(i -> 3 + 7 * i % 500).toArray();
    /** Weights are bfloat16 behind a scaling, twice rounded. */
    private static final double BF16 = 0.01;
    private static final PaperConstants NOTHING = new PaperConstants(0, 0, 0, 0, 1, 0, 0, 0, false);

    private final SmallModel model = SmallModel.stories();
    private final BlockWeights original = model.blocks.get(0);

    @Test
    void without_constants_weights_are_rounded_to_bf16_and_no_more() {
        BlockWeights smoothed = smoothed(NOTHING, null);
        for (int i = 0; i < original.up().length; i++) {
            assertThat(smoothed.up()[i]).isEqualTo(Bf16.round(original.up()[i]));
        }
        assertThat(smoothed.smoothsKeys()).isFalse();
        assertThat(new PaperSmoothing(NOTHING, model.config).needsObservation()).isFalse();
    }

    @Test
    void lambda_1_is_one_factor() {
        BlockWeights smoothed = smoothed(new PaperConstants(0, 0, 0, 0, 0.9, 0, 0, 0, false), null);
        for (int i = 0; i < original.value().length; i++) {
            assertThat(smoothed.value()[i]).isCloseTo(0.9f * original.value()[i], relative(original.value()[i]));
        }
        for (int i = 0; i < original.output().length; i++) {
            assertThat(smoothed.output()[i]).isCloseTo(original.output()[i] / 0.9f, relative(original.output()[i]));
        }
    }

    @Test
    void the_per_channel_scaling_of_output_is_shared_by_the_query_heads_of_a_kv_head() {
        BlockWeights smoothed = smoothed(new PaperConstants(0, 0, 0, 0.02, 1, 0, 0, 0, false), null);
        double[] before = columnMeans(original.output(), 64);
        double[] after = columnMeans(smoothed.output(), 64);
        for (int channel = 0; channel < 32; channel++) {
            int first = channel / 8 * 16 + channel % 8; // the query heads 2h and 2h + 1 take V of head h
            int second = first + 8;
            assertThat(after[first] / before[first]).isCloseTo(after[second] / before[second], within(0.005));
            assertThat((after[first] + after[second]) / 2).isCloseTo(0.02, within(0.0002));
        }
    }

    @Test
    void lambda_2_brings_the_columns_of_gate_and_up_to_its_constant() {
        BlockWeights smoothed = smoothed(new PaperConstants(0, 0.0096, 0, 0, 1, 0, 0, 0, false), null);
        for (double mean : columnMeans(join(smoothed.gate(), smoothed.up()), 64)) {
            assertThat(mean).isCloseTo(0.0096, within(0.0096 * BF16));
        }
        assertThat(smoothed.query()).isEqualTo(rounded(original.query()));
    }

    @Test
    void lambda_3_brings_the_columns_of_down_to_its_constant_and_looks_at_the_raw_weights() {
        BlockWeights smoothed = smoothed(new PaperConstants(0, 0.0096, 0.015, 0, 1, 0, 0, 0, false), null);
        for (double mean : columnMeans(smoothed.down(), 172)) {
            assertThat(mean).isCloseTo(0.015, within(0.015 * BF16));
        }
        // Λ2 is not the one that would even out up as Λ3 left it.
        double[] means = columnMeans(join(smoothed.gate(), smoothed.up()), 64);
        assertThat(Arrays.stream(means).anyMatch(mean -> Math.abs(mean - 0.0096) > 0.0096 * 5 * BF16)).isTrue();
    }

    @Test
    void the_attention_input_is_scaled_where_it_is_asked_for() {
        BlockWeights smoothed = smoothed(new PaperConstants(0.01, 0, 0, 0, 1, 0, 0, 0, false), null);
        for (double mean : columnMeans(join(join(smoothed.query(), smoothed.key()), smoothed.value()), 64)) {
            assertThat(mean).isCloseTo(0.01, within(0.01 * BF16));
        }
    }

    @Test
    void n_brings_every_rotated_pair_to_alpha() {
        BlockWeights smoothed = smoothed(new PaperConstants(0, 0, 0, 0, 1, 8, 0, 0, false), observe(original));
        for (float length : observe(smoothed).largestKeyPair()) {
            assertThat(length).isCloseTo(8, within(0.1f));
        }
        assertThat(smoothed.smoothsKeys()).isFalse();
    }

    @Test
    void s_brings_the_top_channels_and_their_partners_to_beta_and_n_the_rest_to_alpha() {
        Observation before = observe(original);
        float[] largest = before.largest(Place.KEY);
        BlockWeights smoothed = smoothed(new PaperConstants(0, 0, 0, 0, 1, 8, 4, 1, false), before);
        Observation after = observe(smoothed);
        for (int head = 0; head < 4; head++) {
            int top = head * 8;
            for (int channel = head * 8; channel < (head + 1) * 8; channel++) {
                top = largest[channel] > largest[top] ? channel : top;
            }
            int partner = head * 8 + (top + 4) % 8;
            for (int channel = head * 8; channel < (head + 1) * 8; channel++) {
                if (channel == top || channel == partner) {
                    assertThat(smoothed.keySmooth()[channel]).isCloseTo(4 / largest[channel], relative(1));
                    assertThat(after.largest(Place.KEY)[channel]).isCloseTo(4, within(0.05f));
                } else {
                    assertThat(smoothed.keySmooth()[channel]).isEqualTo(1);
                    assertThat(after.largestKeyPair()[channel]).isCloseTo(8, within(0.1f));
                }
            }
        }
    }

    @Test
    void the_published_constants_leave_the_function() {
        float[] expected = model.logits(TOKENS);
        Observation observation = observe(original); // of the first layer: good enough to smooth the others by
        PaperSmoothing smoothing = new PaperSmoothing(PaperConstants.DEFAULT, model.config);
        assertThat(smoothing.needsObservation()).isTrue();
        model.eachBlock(block -> smoothing.apply(block, observation));
        double error = 0;
        double energy = 0;
        float[] actual = model.logits(TOKENS);
        for (int i = 0; i < actual.length; i++) {
            error += Math.pow(actual[i] - expected[i], 2);
            energy += Math.pow(expected[i], 2);
        }
        assertThat(Math.sqrt(error / energy)).as("bfloat16 weights and no more").isBetween(1e-5, 0.01);
    }

    @Test
    void a_dead_channel_stays_dead() {
        BlockWeights block = original.copy();
        for (int row = 0; row < 172; row++) {
            block.gate()[row * 64 + 3] = 0;
            block.up()[row * 64 + 3] = 0;
        }
        for (int row = 0; row < 64; row++) {
            block.down()[row * 172 + 5] = 0;
        }
        new PaperSmoothing(new PaperConstants(0.01, 0.01, 0.01, 0.01, 0.9, 0, 0, 0, false), model.config)
                .apply(block, null);
        assertThat(block.down()[5]).isZero();
        assertThat(block.up()[3]).isZero();
        assertThat(block.postNorm()[3]).isEqualTo(Bf16.round(original.postNorm()[3]));
    }

    private BlockWeights smoothed(PaperConstants constants, Observation observation) {
        BlockWeights block = original.copy();
        new PaperSmoothing(constants, model.config).apply(block, observation);
        return block;
    }

    private Observation observe(BlockWeights block) {
        return model.observe(block, TOKENS);
    }

    private static double[] columnMeans(float[] w, int k) {
        double[] scales = ChannelScales.overColumnMean(1, k, w);
        return Arrays.stream(scales).map(scale -> 1 / scale).toArray();
    }

    private static float[] join(float[] a, float[] b) {
        float[] joined = Arrays.copyOf(a, a.length + b.length);
        System.arraycopy(b, 0, joined, a.length, b.length);
        return joined;
    }

    private static float[] rounded(float[] w) {
        float[] rounded = w.clone();
        for (int i = 0; i < w.length; i++) {
            rounded[i] = Bf16.round(w[i]);
        }
        return rounded;
    }

    private static Offset<Float> relative(float value) {
        return within((float) (BF16 * Math.abs(value)) + 1e-9f);
    }
}
