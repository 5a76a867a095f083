package io.fireq.engine.quant;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.within;

import io.fireq.engine.quant.smoothing.BlockWeights;
import io.fireq.engine.quant.smoothing.ChannelScales;
import io.fireq.engine.quant.smoothing.Hadamard;
import io.fireq.engine.quant.smoothing.NormFolding;
import io.fireq.engine.quant.smoothing.PairScaling;
import io.fireq.engine.quant.smoothing.PowerOfTwoScaling;
import io.fireq.engine.quant.smoothing.ResidualRotation;
import io.fireq.engine.quant.smoothing.ValueHadamard;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Every transformation of the weights leaves what the model computes in float32. */
class TransformationTest {
    private static final int[] TOKENS = {1, 403, 407, 261, 378, 85, 300, 17, 509, 42, 7};
    /** Of float32 sums through five layers, relative to the largest logit. */
    private static final double ROUNDING = 2e-5;
    private static final float[] EXPECTED = SmallModel.stories().logits(TOKENS);

    @TempDir
    Path directory;

    @Test
    void norm_folding() {
        SmallModel model = SmallModel.stories().eachBlock(NormFolding::apply);
        NormFolding.apply(model.finalNorm, model.head);
        assertThat(model.blocks).allSatisfy(block -> {
            assertThat(block.inputNorm()).containsOnly(1);
            assertThat(block.postNorm()).containsOnly(1);
        });
        requireUnchanged(model);
    }

    @Test
    void power_of_two_scaling_is_exact() {
        SmallModel model = SmallModel.stories().eachBlock(PowerOfTwoScaling::apply);
        assertThat(model.logits(TOKENS)).isEqualTo(EXPECTED);
        for (BlockWeights block : model.blocks) {
            for (double rms : ChannelScales.columnRms(block.up().length / 64, transposed(block.up(), 64))) {
                assertThat(rms).isBetween(1.0, 2.0);
            }
        }
    }

    @Test
    void powers_of_two_that_somebody_scaled_channels_by_leave_no_trace() throws IOException {
        SmallModel clean = SmallModel.stories().eachBlock(NormFolding::apply).eachBlock(PowerOfTwoScaling::apply);
        for (int seed = 1; seed <= 3; seed++) {
            Path injected = directory.resolve("outliers-" + seed);
            OutlierInjector.inject(SmallModel.STORIES, injected, seed);
            SmallModel model = SmallModel.of(injected);
            assertThat(model.logits(TOKENS)).as("injection changes no function").isEqualTo(EXPECTED);
            assertThat(model.blocks.get(0).key()).isNotEqualTo(SmallModel.stories().blocks.get(0).key());
            model.eachBlock(NormFolding::apply).eachBlock(PowerOfTwoScaling::apply);
            for (int layer = 0; layer < model.blocks.size(); layer++) {
                assertThat(BlockTensors.byName(layer, model.blocks.get(layer))).usingRecursiveComparison()
                        .isEqualTo(BlockTensors.byName(layer, clean.blocks.get(layer)));
            }
        }
    }

    @Test
    void lambda_1_between_value_and_output() {
        requireUnchanged(SmallModel.stories().eachBlock(block -> PairScaling.valueOutput(block, factors(32, 1))));
    }

    @Test
    void lambda_2_in_front_of_gate_and_up() {
        requireUnchanged(SmallModel.stories().eachBlock(block -> PairScaling.mlpInput(block, factors(64, 2))));
    }

    @Test
    void lambda_3_between_up_and_down() {
        requireUnchanged(SmallModel.stories().eachBlock(block -> PairScaling.upDown(block, factors(172, 3))));
    }

    @Test
    void scaling_in_front_of_query_key_and_value() {
        requireUnchanged(SmallModel.stories().eachBlock(block -> PairScaling.attentionInput(block, factors(64, 4))));
    }

    @Test
    void n_passes_through_the_rotation() {
        requireUnchanged(SmallModel.stories().eachBlock(block -> PairScaling.keyQuery(block, pairFactors())));
    }

    @Test
    void n_needs_equal_factors_for_the_channels_that_rotate_together() {
        double[] factors = pairFactors();
        factors[3] *= 2;
        BlockWeights block = SmallModel.stories().blocks.get(0);
        assertThatIllegalArgumentException().isThrownBy(() -> PairScaling.keyQuery(block, factors))
                .withMessageContaining("channels 3 and 7");
    }

    @Test
    void s_behind_the_rotation() {
        SmallModel model = SmallModel.stories().eachBlock(block -> PairScaling.rotatedKey(block, factors(32, 5)));
        assertThat(model.blocks).allMatch(BlockWeights::smoothsKeys);
        requireUnchanged(model);
    }

    @Test
    void hadamard_of_value() {
        requireUnchanged(SmallModel.stories().eachBlock(ValueHadamard::apply));
    }

    @Test
    void hadamard_of_query_and_key() {
        for (int block : new int[] {2, 4, 8}) {
            SmallModel model = SmallModel.stories();
            model.hadamardBlock = block;
            requireUnchanged(model);
        }
    }

    @Test
    void hadamard_of_query_and_key_behind_a_smoothing() {
        SmallModel model = SmallModel.stories().eachBlock(block -> PairScaling.rotatedKey(block, factors(32, 6)));
        model.hadamardBlock = 8;
        requireUnchanged(model);
    }

    @Test
    void rotation_of_the_residual_stream() {
        SmallModel model = SmallModel.stories().eachBlock(NormFolding::apply);
        NormFolding.apply(model.finalNorm, model.head);
        ResidualRotation rotation = new ResidualRotation(64, 7);
        rotation.applyToRows(model.embedding);
        rotation.applyToRows(model.head);
        model.eachBlock(rotation::apply);
        assertThat(model.embedding).isNotEqualTo(SmallModel.stories().embedding);
        requireUnchanged(model);
    }

    @Test
    void a_rotation_is_its_seed() {
        float[] one = SmallModel.stories().embedding;
        float[] same = one.clone();
        float[] other = one.clone();
        new ResidualRotation(64, 7).applyToRows(one);
        new ResidualRotation(64, 7).applyToRows(same);
        new ResidualRotation(64, 8).applyToRows(other);
        assertThat(same).isEqualTo(one);
        assertThat(other).isNotEqualTo(one);
    }

    @Test
    void hadamard_is_orthonormal_and_its_own_inverse() {
        double[] x = factors(24, 8);
        double[] twice = x.clone();
        Hadamard.apply(twice, 8);
        assertThat(Arrays.stream(twice).map(v -> v * v).sum())
                .isCloseTo(Arrays.stream(x).map(v -> v * v).sum(), within(1e-9));
        Hadamard.apply(twice, 8);
        for (int i = 0; i < x.length; i++) {
            assertThat(twice[i]).isCloseTo(x[i], within(1e-12));
        }
        double[] byHand = {1, 2, 3, 4};
        Hadamard.apply(byHand, 4);
        assertThat(byHand).containsExactly(5, -1, -2, 0);
    }

    /** All that profile best does to a layer, one after the other. */
    @Test
    void all_together() {
        SmallModel model = SmallModel.stories().eachBlock(block -> {
            NormFolding.apply(block);
            PowerOfTwoScaling.apply(block);
            PairScaling.valueOutput(block, factors(32, 11));
            ValueHadamard.apply(block);
            PairScaling.rotatedKey(block, factors(32, 12));
            PairScaling.attentionInput(block, factors(64, 13));
            PairScaling.mlpInput(block, factors(64, 14));
            PairScaling.upDown(block, factors(172, 15));
        });
        model.hadamardBlock = 8;
        requireUnchanged(model);
    }

    private static void requireUnchanged(SmallModel model) {
        float[] actual = model.logits(TOKENS);
        assertThat(actual).as("the weights are others, so no sum is the same to the last bit").isNotEqualTo(EXPECTED);
        float largest = 0;
        for (float logit : EXPECTED) {
            largest = Math.max(largest, Math.abs(logit));
        }
        for (int i = 0; i < actual.length; i++) {
            double error = Math.abs(actual[i] - EXPECTED[i]);
            if (!(error <= ROUNDING * largest)) {
                throw new AssertionError("logit %d of token %d: %s, expected %s".formatted(i % 512, i / 512, actual[i],
                        EXPECTED[i]));
            }
        }
    }

    /** Between 1/4 and 4, no powers of two. */
    private static double[] factors(int n, long seed) {
        return new Random(seed).doubles(n, -2, 2).map(x -> Math.pow(2, x)).toArray();
    }

    private static double[] pairFactors() {
        double[] factors = factors(32, 9);
        for (int i = 0; i < factors.length; i++) {
            factors[i] = factors[i / 8 * 8 + i % 4];
        }
        return factors;
    }

    private static float[] transposed(float[] w, int k) {
        float[] transposed = new float[w.length];
        for (int i = 0; i < w.length; i++) {
            transposed[i % k * (w.length / k) + i / k] = w[i];
        }
        return transposed;
    }
}
