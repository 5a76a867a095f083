package io.fireq.engine.quant.calibration;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.fireq.engine.model.ModelConfig;
import io.fireq.engine.tokenizer.TestModels;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What is noted of a layer: 8 query heads and 4 KV heads of 8 channels. */
class BlockObserverTest {
    private final ModelConfig config = ModelConfig.read(TestModels.stories260k());

    @TempDir
    Path directory;

    @Test
    void the_largest_magnitude_and_the_mean_square_of_each_channel() {
        Observation observation = new Observation(config);
        float[] rows = new float[3 * 70];
        rows[1 * 70 + 2 + 5] = -3;
        rows[2 * 70 + 2 + 5] = 4;
        rows[2 * 70 + 2 + 6] = Float.NaN;
        observation.add(Place.MLP_INPUT, rows, 2, 70, 3);
        observation.addTokens(3);
        assertThat(observation.largest(Place.MLP_INPUT)[5]).isEqualTo(4);
        assertThat(observation.rms(Place.MLP_INPUT)[5]).isCloseTo(Math.sqrt(25 / 3.0), within(1e-12));
        assertThat(observation.largest(Place.MLP_INPUT)[6]).as("what is no number has no magnitude").isZero();
        assertThat(observation.largest(Place.MLP_INPUT)[7]).isZero();
        assertThat(observation.tokens()).isEqualTo(3);
    }

    @Test
    void a_smoothing_that_evens_out_keys_lessens_the_error_of_the_scores() {
        QueryKeySamples samples = samples(1);
        double[] none = new double[32];
        Arrays.fill(none, 1);
        double[] smoothing = none.clone();
        for (int head = 0; head < 4; head++) {
            smoothing[head * 8 + 3] = 1 / 40.0; // the channel that is 40 times as large as the others
        }
        double plain = samples.scoreError(none, 0, 8);
        assertThat(samples.scoreError(smoothing, 0, 8)).isLessThan(0.2 * plain);
        assertThat(samples.scoreError(none, 8, 8)).as("a transform spreads it").isLessThan(0.9 * plain);
        assertThat(samples.scoreError(none, 0, 4)).as("so do smaller groups").isLessThan(0.9 * plain);
    }

    @Test
    void scores_have_no_error_where_the_cache_has_none() {
        QueryKeySamples samples = new QueryKeySamples(config);
        float[] row = new float[64 + 32 + 32];
        for (int i = 0; i < row.length; i++) {
            row[i] = i >= 64 && i % 8 < 2 ? (i % 8 == 0 ? -8 : 7.5f) : 0; // -8 .. 7.5 is a step of 1
        }
        samples.add(row, row.length, 1, 1);
        double[] ones = new double[32];
        Arrays.fill(ones, 1);
        assertThat(samples.scoreError(ones, 0, 8)).isZero();
    }

    private QueryKeySamples samples(long seed) {
        Random random = new Random(seed);
        QueryKeySamples samples = new QueryKeySamples(config);
        for (int t = 0; t < 200; t++) {
            float[] qkv = new float[64 + 32 + 32];
            for (int i = 0; i < qkv.length; i++) {
                qkv[i] = (float) random.nextGaussian();
                if (i >= 64 && i < 96 && i % 8 == 3) {
                    qkv[i] = 40 + qkv[i];
                }
                if (i < 64 && i % 8 == 3) {
                    qkv[i] /= 40;
                }
            }
            samples.add(qkv, qkv.length, 1, 1);
        }
        return samples;
    }

    @Test
    void magnitudes_come_back_from_a_file() throws IOException {
        SmoothingMagnitudes magnitudes = new SmoothingMagnitudes();
        magnitudes.put(3, Place.KEY, new float[] {1, 200}, new float[] {1, 2});
        Path file = directory.resolve(SmoothingMagnitudes.FILE);
        magnitudes.write(file);
        SmoothingMagnitudes read = SmoothingMagnitudes.ofCheckpoint(directory).orElseThrow();
        assertThat(read.before(3, Place.KEY)).hasValue(new float[] {1, 200});
        assertThat(read.after(3, Place.KEY)).hasValue(new float[] {1, 2});
        assertThat(read.after(2, Place.KEY)).isEmpty();
        assertThat(read.after(3, Place.VALUE)).isEmpty();
        assertThat(SmoothingMagnitudes.ofCheckpoint(directory.resolve("none"))).isEmpty();
    }
}
